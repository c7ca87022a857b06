"""From names on a command line to configured methods: presets, then the user's own settings over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from dpbench.benchmark.request import DEFAULT_PRESET
from dpbench.core.config import build, changes
from dpbench.core.errors import ConfigError, DpbenchError, UnknownName
from dpbench.core.method import Method
from dpbench.core.registries import METHODS
from dpbench.core.seal import Seal
from dpbench.core.specs import DatasetSpec, Request
from dpbench.core.variants import parse_variant, titled, variant_label

if TYPE_CHECKING:
    from dpbench.privacy.plan import Plan

USER_SETTINGS = "user settings"
AUTO = "auto"


@dataclass(frozen=True)
class Configured:
    """A method with its configuration, and where that came from.

    Attributes:
        variant: what the user changed of the preset: "codes=128,steps=50".
        auto: whether batch and steps are still to be chosen for each ε (`steps=auto`); see `planning`.
    """

    name: str
    variant: str
    method: type[Method]
    config: Any
    preset: str
    tuning: str
    auto: bool = False

    @property
    def title(self) -> str:
        """Name and variant: tells the configured methods of one command apart."""
        return titled(self.name, self.variant)

    @property
    def uses_public(self) -> bool:
        """Whether the method learns from public images."""
        return self.method.track != "none"


def plan_of(method: type[Method], config: Any, spec: DatasetSpec, request: Request) -> Plan:
    """What a configured method would do to a dataset, asked for under a seal that closes every dataset.

    Raises:
        ConfigError: the configuration does not suit the dataset.
        PrivacyError: the method opens a dataset.
    """
    with Seal().everything_closed():
        return method(config, spec).plan(request)


def refuse_auto(method: Configured) -> None:
    """Raises `ConfigError` where batch and steps would have to be known."""
    if method.auto:
        raise ConfigError(f"steps=auto is settled on public data: `dpbench privacy {method.name} --propose` shows how")


def configure(methods: Sequence[str], dataset: str, preset: str, settings: Mapping[str, Any]) -> list[Configured]:
    """Every named method, configured for a dataset; variants that come to the same configuration are one.

    Args:
        methods: registered names, each with settings of its own in brackets where wanted: "wavelet[codes=128]".
        dataset: name that presets may be refined for.
        preset: name of a preset that each method has.
        settings: key -> value, or "METHOD:key" -> value for one of the methods alone; settings in brackets win.

    Raises:
        UnknownName: a method, preset or setting does not exist.
        ConfigError: a setting's value is wrong, its method is not one of those named, or a bracket has no partner.
    """
    if not methods:
        raise DpbenchError(f"no method is named; known: {', '.join(METHODS.names())}")
    variants = [parse_variant(text) for text in methods]
    classes = {v.method: METHODS.get(v.method) for v in variants}
    given = _by_method(settings, list(classes))
    several = len(classes) > 1 and any(":" not in key for key in settings)
    configured = [
        _configured(name, classes[name], dataset, preset, given[name] | own, several) for name, own in variants
    ]
    return list({m.title: m for m in configured}.values())


def _by_method(settings: Mapping[str, Any], methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    own: dict[str, dict[str, Any]] = {name: {} for name in methods}
    shared = {key: value for key, value in settings.items() if ":" not in key}
    for name in methods:
        own[name] |= shared
    for key in settings.keys() - shared.keys():
        name, _, rest = key.partition(":")
        if name not in own:
            raise ConfigError(f"setting '{key}' is for method '{name}', but the methods named are {', '.join(methods)}")
        own[name][rest] = settings[key]
    return own


def _configured(
    name: str, method: type[Method], dataset: str, preset: str, settings: Mapping[str, Any], several: bool
) -> Configured:
    known = {DEFAULT_PRESET, *(key for key in method.presets if "/" not in key)}
    if preset not in known:
        raise UnknownName(f"preset of method '{name}':", preset, known)
    layers = [method.presets[key] for key in (preset, _refined(method, preset, dataset)) if key in method.presets]
    values = {key: value for layer in layers for key, value in layer.settings.items()}
    auto = settings.get("steps") == AUTO and "steps" in (f.name for f in fields(method.Config))
    if auto:
        settings = {key: value for key, value in settings.items() if key != "steps"}
    try:
        start: Any = build(method.Config, values)
        config: Any = build(method.Config, settings, start)
    except DpbenchError as error:
        hint = f"; write {name}:key=value for what is not meant for every method" if several else ""
        raise ConfigError(f"method '{name}': {error}{hint}") from error
    changed = dict(changes(start, config))
    tuning = USER_SETTINGS if changed else layers[-1].tuning if layers else "untuned"
    variant = variant_label((changed | {"steps": AUTO} if auto else changed).items())
    return Configured(name, variant, method, config, preset, tuning, auto)


def _refined(method: type[Method], preset: str, dataset: str) -> str:
    """The preset's refinement for a dataset, or else for its plugin: "small/shapes" is for "shapes:0.5", too."""
    exact = f"{preset}/{dataset}"
    return exact if exact in method.presets else f"{preset}/{dataset.partition(':')[0]}"
