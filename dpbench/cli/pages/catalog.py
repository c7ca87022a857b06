"""The available plugins, for `dpbench list`, and what one of them is, for `dpbench show`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dpbench.cli.pages.simple_table import simple_table
from dpbench.core.config import build, describe
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.method import Method
from dpbench.core.metric import Metric
from dpbench.core.refiner import Refiner
from dpbench.core.registries import DATASETS, METHODS, METRICS, REFINERS, is_public_only
from dpbench.core.registry import Registry
from dpbench.core.variants import parse_variant

REGISTRIES: dict[str, Registry[Any]] = {
    "methods": METHODS,
    "datasets": DATASETS,
    "public": DATASETS,
    "metrics": METRICS,
    "refiners": REFINERS,
}


def plugin_summaries(kind: str) -> dict[str, str]:
    """Name -> summary, or the error that keeps a plugin from being imported; no built-in plugin is imported.

    Args:
        kind: a key of `REGISTRIES`; "datasets" omits those that are public sources only.
    """
    lines = {}
    for name in REGISTRIES[kind].names():
        try:
            if kind != "datasets" or not is_public_only(name):
                lines[name] = REGISTRIES[kind].summary(name)
        except DpbenchError as error:
            lines[name] = f"not available: {error}"
    return lines


def plugin_table(kind: str) -> RenderableType:
    """`plugin_summaries` as a table."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, line in plugin_summaries(kind).items():
        table.add_row(Text(name, style="bold"), Text(line))
    return table


def plugin_page(variant: str) -> RenderableType:
    """What a method, refiner or metric does: its docstring, and its settings and presets, or its columns.

    Args:
        variant: its name; settings in brackets are ignored.

    Raises:
        UnknownName: there is no such method, refiner or metric.
    """
    name = parse_variant(variant).method
    for registry, page in PAGES.items():
        if name in registry.names():
            return Group(*page(name, registry.get(name)))
    raise UnknownName("method, refiner or metric", name, (known for registry in PAGES for known in registry.names()))


def _method_page(name: str, method: type[Method]) -> list[RenderableType]:
    facts = {"track": method.track, "version": method.version, "paper": method.paper}
    return [*_description(name, method, facts), _settings_table(method), _presets_table(method)]


def _refiner_page(name: str, refiner: type[Refiner]) -> list[RenderableType]:
    return [*_description(name, refiner, {"paper": refiner.paper}), _settings_table(refiner)]


def _metric_page(name: str, metric: type[Metric]) -> list[RenderableType]:
    facts = {
        "computed": "" if metric.default else f"only on request: --metrics {name}",
        "training images": "used; columns are shown only for public benchmarks" if metric.reads_train else "",
        "protocol": metric.protocol,
    }
    table = simple_table("columns", "column", "better", "meaning", left=3)
    for column in metric.columns:
        table.add_row(*map(Text, (column.name, column.better, column.help)))
    return [*_description(name, metric, facts), table]


PAGES: dict[Registry[Any], Callable[[str, Any], list[RenderableType]]] = {
    METHODS: _method_page,
    REFINERS: _refiner_page,
    METRICS: _metric_page,
}


def _description(name: str, plugin: type[Any], facts: Mapping[str, str]) -> list[RenderableType]:
    return [
        Text(f"{name}: {_unwrapped(inspect.getdoc(plugin) or '')}\n"),
        *(Text(f"{key}: {value}") for key, value in facts.items() if value),
        Text(""),
    ]


def _unwrapped(text: str) -> str:
    """The text with each paragraph of plain sentences on one line, for the terminal to wrap."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(p if "\n " in p or "\n*" in p else " ".join(p.splitlines()) for p in paragraphs)


def _settings_table(plugin: type[Method] | type[Refiner]) -> RenderableType:
    table = simple_table("settings (--set key=value)", "setting", "type", "default", "meaning", left=4)
    for line in describe(build(plugin.Config, {})):
        table.add_row(*map(Text, (line.key, line.type, str(line.value), line.help)))
    return table if table.rows else Text("no settings")


def _presets_table(method: type[Method]) -> RenderableType:
    table = simple_table("presets (--preset name)", "preset", "settings over the defaults", "tuned on", left=3)
    for name, preset in method.presets.items():
        settings = " ".join(f"{key}={value}" for key, value in preset.settings.items())
        table.add_row(*map(Text, (name, settings or "the defaults", preset.tuning)))
    return table
