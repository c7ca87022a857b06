"""What there is to choose from, for `dpbench list`, and what a plugin is and would do, for `dpbench show`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dpbench.benchmark.configure import DEFAULT_PRESET, configure, refuse_auto
from dpbench.benchmark.places import data_folder
from dpbench.benchmark.sweep import Sweep
from dpbench.core.config import build, describe
from dpbench.core.data import DataOptions, Dataset
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.method import Method
from dpbench.core.metric import Metric
from dpbench.core.refiner import Refiner
from dpbench.core.registries import DATASETS, METHODS, METRICS, REFINERS
from dpbench.core.registry import Registry
from dpbench.core.specs import Budget, DatasetSpec
from dpbench.core.variants import parse_variant
from dpbench.data.opening import open_dataset
from dpbench.privacy.accounting import SECOND_DELTA, epsilon_pld
from dpbench.privacy.calibration import calibrate, priced
from dpbench.privacy.plan import CalibratedPlan

REGISTRIES: dict[str, Registry[Any]] = {
    "methods": METHODS,
    "datasets": DATASETS,
    "public": DATASETS,
    "metrics": METRICS,
    "refiners": REFINERS,
}


def list_plugins(kind: str) -> dict[str, str]:
    """Name -> first line of the docstring, or the error that keeps the plugin from being imported.

    Args:
        kind: a key of `REGISTRIES`; "datasets" leaves out what is a public source only.
    """
    lines = {}
    for name in REGISTRIES[kind].names():
        try:
            plugin = REGISTRIES[kind].get(name)
        except DpbenchError as error:
            lines[name] = f"not available: {error}"
            continue
        if not (kind == "datasets" and issubclass(plugin, Dataset) and plugin.public_only):
            lines[name] = (inspect.getdoc(plugin) or "").partition("\n")[0]
    return lines


def plugin_table(kind: str) -> RenderableType:
    """`list_plugins` as a table."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, line in list_plugins(kind).items():
        table.add_row(Text(name, style="bold"), Text(line))
    return table


def plugin_page(variant: str) -> RenderableType:
    """What a method, refiner or metric does: its docstring, and its settings and presets, or its columns.

    Args:
        variant: its name; settings in brackets change nothing here.

    Raises:
        UnknownName: there is no such method, refiner or metric.
    """
    name = parse_variant(variant).method
    for registry, page in PAGES.items():
        if name in registry.names():
            return Group(*page(name, registry.get(name)))
    raise UnknownName("method, refiner or metric", name, (known for registry in PAGES for known in registry.names()))


def _method_page(name: str, method: type[Method[Any]]) -> list[RenderableType]:
    facts = {"track": method.track, "version": method.version, "paper": method.paper}
    return [*_description(name, method, facts), _settings_table(method), _presets_table(method)]


def _refiner_page(name: str, refiner: type[Refiner[Any]]) -> list[RenderableType]:
    return [*_description(name, refiner, {"paper": refiner.paper}), _settings_table(refiner)]


def _metric_page(name: str, metric: type[Metric]) -> list[RenderableType]:
    facts = {
        "computed": "" if metric.default else f"only when asked for: --metrics {name}",
        "train": "read; shown for datasets that are public benchmarks only" if metric.reads_train else "",
        "protocol": metric.protocol,
    }
    table = _table("columns", "column", "better", "meaning")
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
    """Paragraphs of plain sentences on one line each, so that they wrap where the terminal ends."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(p if "\n " in p or "\n*" in p else " ".join(p.splitlines()) for p in paragraphs)


def _settings_table(plugin: type[Method[Any]] | type[Refiner[Any]]) -> RenderableType:
    table = _table("settings (--set key=value)", "setting", "type", "default", "meaning")
    for line in describe(build(plugin.Config, {})):
        table.add_row(*map(Text, (line.key, line.type, str(line.value), line.help)))
    return table if table.rows else Text("no settings")


def _presets_table(method: type[Method[Any]]) -> RenderableType:
    table = _table("presets (--preset name)", "preset", "settings over the defaults", "tuned on")
    for name, preset in method.presets.items():
        settings = " ".join(f"{key}={value}" for key, value in preset.settings.items())
        table.add_row(*map(Text, (name, settings or "the defaults", preset.tuning)))
    return table


def plan_page(
    variant: str,
    dataset: str,
    epsilon: float | None,
    *,
    noise: float | None = None,
    delta: float | None = None,
    preset: str = DEFAULT_PRESET,
    settings: Mapping[str, Any] | None = None,
    samples: int = 10_000,
    resolution: int | None = None,
) -> RenderableType:
    """What a method would spend on a dataset. Trains nothing, and reads no declared dataset.

    Args:
        epsilon: the budget that free noise multipliers are calibrated for; None where `noise` is given.
        noise: the scale that the free noise multipliers share, in place of a budget.

    Raises:
        DpbenchError: the method, dataset, settings or budget do not go together.
    """
    (chosen,) = configure([variant], dataset, preset, settings or {})
    refuse_auto(chosen)
    sweep = Sweep((1.0 if epsilon is None else epsilon,), 1, samples, delta=delta)
    spec = open_dataset(dataset, DataOptions(data_folder(None), resolution)).spec
    delta = sweep.delta_for(spec)
    plan = chosen.method.plan(chosen.config, spec, sweep.request(spec))
    if epsilon is not None:
        return _plan_table(chosen.title, spec, calibrate(plan, Budget(epsilon, delta)))
    assert noise is not None
    return _plan_table(chosen.title, spec, priced(plan.with_scale(noise), delta))


def _plan_table(title: str, spec: DatasetSpec, plan: CalibratedPlan) -> RenderableType:
    budget = plan.budget
    size = f"{spec.n_train} records of {spec.channels}×{spec.resolution}×{spec.resolution}"
    heading = f"plan of {title} on {spec.name} ({size}), ε = {budget.epsilon:.4g}, δ = {budget.delta:.3g}"
    table = _table(heading, "mechanism", "kind", "clip", "sampling rate", "releases", "noise multiplier", "ε alone")
    for column in table.columns[2:]:
        column.justify = "right"
    for m in plan.mechanisms:
        alone = epsilon_pld([m.event()], budget.delta)
        numbers = (f"{m.clip:g}", f"{m.sampling_rate:.4g}", f"{m.releases}", f"{m.noise_multiplier:.4g}")
        table.add_row(m.name, type(m).__name__, *numbers, f"{alone:.4g}")
    spent = Text(
        f"ε of the whole plan: {plan.epsilon:.4g} by PLD, {plan.epsilon_rdp:.4g} by RDP; "
        f"{plan.epsilon_at_second_delta:.4g} at δ = {SECOND_DELTA:g}; Gaussian DP: μ = {plan.mu:.4g}"
    )
    return Group(table, spent)


def _table(title: str, *headings: str) -> Table:
    return Table(*headings, title=Text(title, style="bold"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
