"""What one plugin is, and the settings that it would run with, for `dpbench show`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.benchmark.configure import AUTO, SET, configure
from dpbench.benchmark.protocols import PROTOCOLS
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.tiers import tiers
from dpbench.cli.pages.simple_table import simple_table
from dpbench.core.config import as_settings, build, changes, describe
from dpbench.core.data import DataOptions
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.registries import DATASETS, EXTRACTORS, METHODS, METRICS, REFINERS, TEXT_ENCODERS
from dpbench.core.registry import Registry
from dpbench.core.variants import parse_variant
from dpbench.data.opening import default_root, open_dataset

PLAIN = ("int", "float", "bool", "str")
"""Types that a setting's value shows."""

MOST_CLASSES = 10
"""Names of classes that the page of a dataset shows."""


def plugin_page(name: str, request: RunRequest) -> RenderableType:
    """What every plugin of that name does: its docstring, and its settings, columns or size.

    Args:
        name: its name; for a method also a variant, for a dataset with its argument: "grained:0.5".
        request: the dataset, preset and settings of a method, the settings of a refiner or text encoder, the options of
            a dataset.

    Raises:
        UnknownName: there is no such plugin.
        DpbenchError: a method, refiner or text encoder has no such preset or setting.
    """
    plain = dict.fromkeys(PAGES, name)
    plain |= {METHODS: parse_variant(name).method, DATASETS: name.partition(":")[0]}
    found = [page(name, request) for registry, page in PAGES.items() if plain[registry] in registry.names()]
    if not found:
        raise UnknownName("name", name, (known for registry in PAGES for known in registry.names()))
    return Group(*(part for page in found for part in page))


def _method_page(name: str, request: RunRequest) -> list[RenderableType]:
    (configured,) = configure((name,), request.dataset, request.preset, request.settings)
    method, origins = configured.method, dict(configured.origins)
    values: dict[str, Any] = {}
    if configured.auto:
        values = dict.fromkeys(("batch", "steps"), AUTO)
        origins |= dict.fromkeys(values, SET)
    taken = ", ".join(condition for condition in ("none", "classes", "captions") if condition in method.conditions)
    facts = {"track": method.track, "conditions": taken, "version": method.version, "paper": method.paper}
    title = f"settings on {request.dataset} with preset {request.preset} (--set key=value)"
    settings = _settings_table(title, configured.config, origins, values)
    table = simple_table("presets (--preset name)", "preset", "settings over the defaults", "tuned on", left=3)
    for key, preset in method.presets.items():
        changed = " ".join(f"{setting}={value}" for setting, value in preset.settings.items())
        table.add_row(*map(Text, (key, changed or "the defaults", preset.tuning)))
    return [*_description(configured.name, method, facts), settings, table, _tiers_table(configured.name, request)]


def _tiers_table(name: str, request: RunRequest) -> RenderableType:
    """How many private gradients each preset computes, if the dataset is known."""
    root = request.data or default_root()
    try:
        spec = open_dataset(request.dataset, DataOptions(root, request.resolution)).spec
    except DpbenchError as error:
        return Text(f"private gradients on {request.dataset}: unknown: {error}")
    title = f"private gradients on {request.dataset}, and their share of the published number (preset paper)"
    table = simple_table(title, "preset", "records × views × steps, expected", left=2)
    for tier in tiers(name, request.dataset, spec):
        table.add_row(*map(Text, (tier.preset, str(tier))))
    return table


def _dataset_page(name: str, request: RunRequest) -> list[RenderableType]:
    plugin = DATASETS.get(name.partition(":")[0])
    root = request.data or default_root()
    try:
        options = DataOptions(root, request.resolution, public_benchmark=request.public_benchmark)
        spec = open_dataset(name, options).spec
    except DpbenchError as error:  # its files are not here, or its name lacks an argument
        return _description(name, plugin, {"images": f"unknown: {error}"})
    classes = spec.classes or ()
    more = ", ..." if len(classes) > MOST_CLASSES else ""
    facts = {
        "images": f"{spec.n_train:,} train and {spec.n_test:,} test, "
        f"{spec.channels}×{spec.resolution}×{spec.resolution}",
        "classes": f"{len(classes)}: {', '.join(classes[:MOST_CLASSES])}{more}" if classes else "none",
        "captions": f"all of a record's, {spec.caption_bytes} bytes together" if spec.caption_bytes else "",
        "public benchmark": "yes"
        if spec.public_benchmark
        else "no; --public-benchmark of `dpbench run` declares it one",
        "use": "public source: --public" if plugin.public_only else "",
    }
    return _description(name, plugin, facts)


def _part_page(registry: Registry[Any], name: str, request: RunRequest) -> list[RenderableType]:
    """The page of a refiner or text encoder: a part of a method with settings of its own."""
    plugin = registry.get(name)
    config: Any = build(plugin.Config, request.settings)
    facts = {"plugin": f"a {registry.kind}", "track": plugin.track_of(config), "paper": plugin.paper}
    settings = _settings_table("settings (--set key=value)", config, dict.fromkeys(request.settings, SET), {})
    return [*_description(name, plugin, facts), settings]


def _metric_page(name: str, request: RunRequest) -> list[RenderableType]:
    metric = METRICS.get(name)
    protocols = [f"--protocol {known}" for known, protocol in PROTOCOLS.items() if name in protocol.metrics]
    facts = {
        "computed": "" if metric.default else "only on request: " + " or ".join([f"--metrics {name}", *protocols]),
        "training images": "used; columns are shown only for public benchmarks" if metric.reads_train else "",
        "protocol": metric.protocol,
    }
    table = simple_table("columns", "column", "better", "meaning", left=3)
    for column in metric.columns:
        table.add_row(*map(Text, (column.name, column.better or "neither", column.help)))
    return [*_description(name, metric, facts), table]


def _extractor_page(name: str, request: RunRequest) -> list[RenderableType]:
    extractor = EXTRACTORS.get(name)
    facts = {
        "plugin": "an extractor: fixed features of images, for metrics",
        "training images": "it was trained on them; only metrics that declare the same may use it"
        if extractor.reads_train
        else "",
    }
    return _description(name, extractor, facts)


PAGES: dict[Registry[Any], Callable[[str, RunRequest], list[RenderableType]]] = {
    METHODS: _method_page,
    DATASETS: _dataset_page,
    METRICS: _metric_page,
    REFINERS: partial(_part_page, REFINERS),
    EXTRACTORS: _extractor_page,
    TEXT_ENCODERS: partial(_part_page, TEXT_ENCODERS),
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


def _settings_table(title: str, config: Any, origins: Mapping[str, str], values: Mapping[str, Any]) -> RenderableType:
    """The settings that would run; those that differ from the default of the class say where they come from.

    Args:
        origins: setting -> where its value comes from, where it is not the default.
        values: setting -> what is shown in place of its value.
    """
    default = build(type(config), {})
    differing = dict(changes(default, config))
    before = {key: f"default {value}" for key, value in as_settings(default).items() if key in differing}
    table = simple_table(title, "setting", "value", "from", "meaning", left=4)
    for line in describe(config):
        origin = origins.get(line.key, "")
        about = "; ".join(filter(None, [line.type if line.type not in PLAIN else "", before.get(line.key)]))
        meaning = Text.assemble(line.help, (f" ({about})" if about else "", "dim"))
        value = str(values.get(line.key, line.value))
        table.add_row(Text(line.key), Text(value, style="bold" if origin else ""), Text(origin), meaning)
    return table if table.rows else Text("no settings")
