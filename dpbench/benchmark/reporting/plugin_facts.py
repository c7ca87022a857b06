"""Facts about a plugin and the settings that it would run with, for `dpbench show`, as a page or as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from dpbench.benchmark.configure import AUTO, SET, configure
from dpbench.benchmark.protocols import PROTOCOLS
from dpbench.benchmark.reporting.tiers import tiers
from dpbench.benchmark.request import RunRequest
from dpbench.core.config import as_settings, build, changes, describe
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.method import Preset
from dpbench.core.metric import Column
from dpbench.core.registries import DATASETS, EXTRACTORS, GENERATORS, METHODS, METRICS, REFINERS, TEXT_ENCODERS
from dpbench.core.registry import Registry
from dpbench.core.specs import DatasetSpec
from dpbench.core.variants import parse_variant
from dpbench.data.opening import open_dataset

MOST_CLASSES = 10
"""Most class names among the facts of a dataset."""


@dataclass(frozen=True)
class Setting:
    """One setting as it would run.

    Attributes:
        key: its name for `--set`.
        value: the value that it would have; "auto" if it is chosen later.
        type: its type and range: "float in (0, 1]".
        default: the default of the class; None for a setting of a part that is not the default one.
        origin: the origin of a value that is not the default: "small/mnist", "--set"; "" for the default.
        help: what it means.
    """

    key: str
    value: Any
    type: str
    default: Any
    origin: str
    help: str


@dataclass(frozen=True)
class PluginFacts:
    """The facts about a plugin.

    Attributes:
        kind: "method", "dataset", "metric", "refiner", "extractor", "text encoder" or "generator".
        name: its name, as requested.
        description: its docstring.
        facts: further facts, in words.
        settings: the settings that would run; None for a plugin that has no configuration.
        settings_for: where the settings apply: "on mnist with preset small"; "" if they are the same everywhere.
        presets: the presets of a method, by name; their settings are plain dictionaries, which `asdict` can copy.
        private_gradients: preset -> the number of gradients of private records that a method computes with it.
        columns: the columns that a metric fills.
        spec: a dataset's declaration; None if it is not known.
    """

    kind: str
    name: str
    description: str
    facts: Mapping[str, str]
    settings: Sequence[Setting] | None = None
    settings_for: str = ""
    presets: Mapping[str, Preset] = field(default_factory=dict)
    private_gradients: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[Column] = ()
    spec: DatasetSpec | None = None


def plugin_facts(name: str, request: RunRequest) -> list[PluginFacts]:
    """The facts about every plugin of that name; plugins of several kinds may share a name.

    Args:
        name: the name; a method may have settings in brackets, a dataset its argument: "grained:0.5".
        request: the dataset, preset and settings of a method; the settings of a refiner, text encoder or generator; or
            the options of a dataset.

    Raises:
        UnknownName: there is no such plugin.
        DpbenchError: a method, refiner, text encoder or generator has no such preset or setting.
    """
    plain = dict.fromkeys(KINDS, name)
    plain |= {METHODS: parse_variant(name).method, DATASETS: name.partition(":")[0]}
    found = [facts(name, request) for registry, facts in KINDS.items() if plain[registry] in registry.names()]
    if not found:
        raise UnknownName("name", name, (known for registry in KINDS for known in registry.names()))
    return found


def _method(name: str, request: RunRequest) -> PluginFacts:
    (configured,) = configure((name,), request.dataset, request.preset, request.settings, request.public)
    method, origins = configured.method, dict(configured.origins)
    values: dict[str, Any] = {}
    if configured.auto:
        values = dict.fromkeys(("batch", "steps"), AUTO)
        origins |= dict.fromkeys(values, SET)
    taken = ", ".join(condition for condition in ("none", "classes", "captions") if condition in method.conditions)
    gradients, unknown = {}, {}
    try:
        spec = open_dataset(request.dataset, request.data_options).spec
        gradients = {tier.preset: str(tier) for tier in tiers(configured.name, request.dataset, spec)}
    except DpbenchError as error:  # the dataset's files are not here, or its name lacks an argument
        unknown = {f"private gradients on {request.dataset}": f"unknown: {error}"}
    return PluginFacts(
        METHODS.kind,
        configured.name,
        _docstring(method),
        {"track": method.track, "conditions": taken, "version": method.version, "paper": method.paper, **unknown},
        settings=_settings(configured.config, origins, values),
        settings_for=f"on {request.dataset} with preset {request.preset}",
        presets={name: replace(preset, settings=dict(preset.settings)) for name, preset in method.presets.items()},
        private_gradients=gradients,
    )


def _dataset(name: str, request: RunRequest) -> PluginFacts:
    plugin = DATASETS.get(name.partition(":")[0])
    try:
        spec = open_dataset(name, request.data_options).spec
    except DpbenchError as error:  # its files are not here, or its name lacks an argument
        return PluginFacts(DATASETS.kind, name, _docstring(plugin), {"images": f"unknown: {error}"})
    classes = spec.classes or ()
    more = ", ..." if len(classes) > MOST_CLASSES else ""
    facts = {
        "images": f"{spec.n_train:,} train and {spec.n_test:,} test, "
        f"{spec.channels}×{spec.resolution}×{spec.resolution}",
        "classes": f"{len(classes)}: {', '.join(classes[:MOST_CLASSES])}{more}" if classes else "none",
        "captions": f"all of a record's, {spec.caption_bytes} bytes in total" if spec.caption_bytes else "",
        "public benchmark": "yes"
        if spec.public_benchmark
        else "no; --public-benchmark of `dpbench run` declares it one",
        "use": "public source: --public" if plugin.public_only else "",
    }
    return PluginFacts(DATASETS.kind, name, _docstring(plugin), facts, spec=spec)


def _part(registry: Registry[Any], name: str, request: RunRequest) -> PluginFacts:
    """A refiner, text encoder or generator: a part of a method that has its own settings."""
    plugin = registry.get(name)
    config: Any = build(plugin.Config, request.settings)
    facts = {"plugin": f"a {registry.kind}", "track": plugin.track_of(config), "paper": plugin.paper}
    settings = _settings(config, dict.fromkeys(request.settings, SET), {})
    return PluginFacts(registry.kind, name, _docstring(plugin), facts, settings=settings)


def _metric(name: str, request: RunRequest) -> PluginFacts:
    metric = METRICS.get(name)
    protocols = [f"--protocol {known}" for known, protocol in PROTOCOLS.items() if name in protocol.metrics]
    facts = {
        "computed": "" if metric.default else "only on request: " + " or ".join([f"--metrics {name}", *protocols]),
        "training images": "used; columns are shown only for public benchmarks" if metric.reads_train else "",
        "protocol": metric.protocol,
    }
    return PluginFacts(METRICS.kind, name, _docstring(metric), facts, columns=metric.columns)


def _extractor(name: str, request: RunRequest) -> PluginFacts:
    extractor = EXTRACTORS.get(name)
    facts = {
        "plugin": "an extractor: fixed features of images, for metrics",
        "training images": "it was trained on them; only metrics that declare the same may use it"
        if extractor.reads_train
        else "",
    }
    return PluginFacts(EXTRACTORS.kind, name, _docstring(extractor), facts)


KINDS: dict[Registry[Any], Callable[[str, RunRequest], PluginFacts]] = {
    METHODS: _method,
    DATASETS: _dataset,
    METRICS: _metric,
    REFINERS: partial(_part, REFINERS),
    EXTRACTORS: _extractor,
    TEXT_ENCODERS: partial(_part, TEXT_ENCODERS),
    GENERATORS: partial(_part, GENERATORS),
}


def _docstring(plugin: type[Any]) -> str:
    return inspect.getdoc(plugin) or ""


def _settings(config: Any, origins: Mapping[str, str], values: Mapping[str, Any]) -> list[Setting]:
    """The settings that would run.

    Args:
        origins: setting -> the origin of its value, if it is not the default.
        values: setting -> the text that replaces its value.
    """
    default = build(type(config), {})
    before, differing = as_settings(default), dict(changes(default, config))
    return [
        Setting(
            key=s.key,
            value=values.get(s.key, s.value),
            type=s.type,
            default=before.get(s.key) if s.key in differing else s.value,
            origin=origins.get(s.key, ""),
            help=s.help,
        )
        for s in describe(config)
    ]
