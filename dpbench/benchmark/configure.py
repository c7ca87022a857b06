"""Configured methods from names, presets and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from dpbench.benchmark.public_choice import learning_from
from dpbench.benchmark.request import DEFAULT_PRESET
from dpbench.core.config import build, changes
from dpbench.core.errors import ConfigError, DpbenchError, UnknownName, foreign_code
from dpbench.core.method import Method
from dpbench.core.plugin_checks import check_method
from dpbench.core.registries import METHODS
from dpbench.core.seal import Seal
from dpbench.core.specs import DatasetSpec, Request
from dpbench.core.variants import parse_variant, titled, variant_label, written
from dpbench.data.opening import whole_name
from dpbench.methods.cores.votes.source_choice import ChoosesSource

if TYPE_CHECKING:
    from dpbench.privacy.plan import Plan

USER_SETTINGS = "user settings"
AUTO = "auto"
SET = "--set"
"""The origin of settings that the user sets, in brackets or by the option."""


@dataclass(frozen=True)
class Configured:
    """A method with its configuration and the origin of that configuration.

    Attributes:
        name: registered name.
        variant: the settings that the user changed relative to the preset: "codes=128,steps=50".
        method: the method's class.
        config: an instance of its `Config`.
        preset: name of the preset.
        tuning: what the configuration was tuned on.
        origins: setting -> the origin of its value if it is not the default of `Config`: "small/mnist", "--set".
        auto: whether batch and steps are chosen for each ε (`steps=auto`); see `auto_steps`.
    """

    name: str
    variant: str
    method: type[Method[Any]]
    config: Any
    preset: str
    tuning: str
    origins: Mapping[str, str]
    auto: bool = False

    @property
    def title(self) -> str:
        """Name and variant; unique among the methods of one command."""
        return titled(self.name, self.variant)

    @property
    def uses_public(self) -> bool:
        """Whether the method learns from public images."""
        return self.method.track != "none"

    @property
    def has_public_part(self) -> bool:
        """Whether the method has a public part at ε = 0. It has none if private images choose the public ones."""
        return self.uses_public and not issubclass(self.method, ChoosesSource)


def plan_of(method: type[Method[Any]], config: Any, spec: DatasetSpec, request: Request) -> Plan:
    """The plan of a configured method for a dataset. Every dataset is closed while the method makes its plan.

    Raises:
        ConfigError: the configuration does not suit the dataset, the method does not support the dataset's classes or
            captions, or it returns no plan.
        PrivacyError: the method opens a dataset.
    """
    from dpbench.privacy.plan import Plan

    _check_condition(method, spec)
    with foreign_code(f"{method.__name__}.plan", ConfigError), Seal().everything_closed():
        plan: object = method.plan(config, spec, request)
    if not isinstance(plan, Plan):
        raise ConfigError(f"{method.__name__}.plan must return a Plan, not {plan!r}")
    return plan


SAID = {"classes": "classes", "captions": "captions", "none": "neither classes nor captions"}
"""The conditions of a dataset, in messages."""


def _check_condition(method: type[Method[Any]], spec: DatasetSpec) -> None:
    if spec.condition not in method.conditions:
        taken = " or ".join(SAID[condition] for condition in SAID if condition in method.conditions)
        raise ConfigError(
            f"{method.__name__} is for datasets with {taken}, but {spec.name} has {SAID[spec.condition]}; "
            "`dpbench show METHOD` says what a method supports"
        )


def refuse_auto(method: Configured) -> None:
    """Refuses `steps=auto` where batch and steps must be known.

    Raises:
        ConfigError: the method has `steps=auto`.
    """
    if method.auto:
        raise ConfigError(f"steps=auto is resolved on public data: `dpbench privacy {method.name} --propose` shows how")


def configure(
    methods: Sequence[str], dataset: str, preset: str, settings: Mapping[str, Any], public: str = ""
) -> list[Configured]:
    """Configures every named method for a dataset. Variants with equal configurations become one.

    Args:
        methods: registered names, with settings in brackets for a variant: "wavelet[codes=128]".
        dataset: name of the dataset, for which a preset may have a refinement.
        preset: name of a preset; each method must have it.
        settings: key -> value, or "METHOD:key" -> value for only one of the methods. Settings in brackets take
            precedence.
        public: the public source, which changes the method if private images choose one of several.

    Raises:
        UnknownName: a method, preset or setting does not exist.
        ConfigError: a setting's value is wrong, its method is not named, brackets do not match, a method's declaration
            is wrong, or several public sources are given to a method that uses none.
    """
    if not methods:
        raise DpbenchError(f"no method is given: use --method; known: {', '.join(METHODS.names())}")
    variants = [parse_variant(text) for text in methods]
    classes = {v.method: METHODS.get(v.method) for v in variants}
    for name, method in classes.items():
        check_method(name, method)
    given = _by_method(settings, list(classes))
    several = len(classes) > 1 and any(":" not in key for key in settings)
    configured = [
        _configured(name, classes[name], dataset, preset, given[name] | own, several) for name, own in variants
    ]
    learning = [replace(m, method=learning_from(m.method, public)) for m in configured]
    return list({m.title: m for m in learning}.values())


def _by_method(settings: Mapping[str, Any], methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    own: dict[str, dict[str, Any]] = {name: {} for name in methods}
    shared = {key: value for key, value in settings.items() if ":" not in key}
    for key, value in shared.items():
        name, _, rest = key.partition(".")
        if rest and name in METHODS.names():
            raise ConfigError(
                f"setting '{key}': write {name}:{rest}={written(value)} for a setting of one method; "
                f'in an experiment file "{name}:{rest}" = {value!r}, below [settings]'
            )
    for name in methods:
        own[name] |= shared
    for key in settings.keys() - shared.keys():
        name, _, rest = key.partition(":")
        if name not in own:
            raise ConfigError(f"setting '{key}' is for method '{name}', but the methods are {', '.join(methods)}")
        own[name][rest] = settings[key]
    return own


def _configured(
    name: str, method: type[Method[Any]], dataset: str, preset: str, settings: Mapping[str, Any], several: bool
) -> Configured:
    known = {DEFAULT_PRESET, *(key for key in method.presets if "/" not in key)}
    if preset not in known:
        raise UnknownName(f"preset of method '{name}':", preset, known)
    layers = {key: method.presets[key] for key in (preset, refined(method, preset, dataset)) if key in method.presets}
    values = {key: value for layer in layers.values() for key, value in layer.settings.items()}
    auto = settings.get("steps") == AUTO and "steps" in (f.name for f in fields(method.Config))
    if auto:
        settings = {key: value for key, value in settings.items() if key != "steps"}
    try:
        start: Any = build(method.Config, values)
        config: Any = build(method.Config, settings, start)
    except DpbenchError as error:
        hint = f"; write {name}:key=value for a setting of one method" if several else ""
        raise ConfigError(f"method '{name}': {error}{hint}") from error
    changed = dict(changes(start, config))
    tuning = USER_SETTINGS if changed else [*layers.values()][-1].tuning if layers else "untuned"
    variant = variant_label((changed | {"steps": AUTO} if auto else changed).items())
    given = {key: origin for origin, layer in layers.items() for key in layer.settings} | dict.fromkeys(settings, SET)
    differing = (key for key, _ in changes(build(method.Config, {}), config))
    origins = {key: given.get(key) or given.get(key.removesuffix(".name"), "") for key in differing}
    return Configured(name, variant, method, config, preset, tuning, origins, auto)


def refined(method: type[Method[Any]], preset: str, dataset: str) -> str:
    """Name of the preset's refinement for a dataset, or for its plugin: "small/grained" also refines "grained:0.5".

    A hold-out has the presets of the whole dataset.
    """
    dataset = whole_name(dataset)
    exact = f"{preset}/{dataset}"
    return exact if exact in method.presets else f"{preset}/{dataset.partition(':')[0]}"
