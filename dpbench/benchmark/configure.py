"""From names on a command line to configured methods: presets, then the user's own settings over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from dpbench.core.config import build
from dpbench.core.errors import ConfigError, DpbenchError, UnknownName
from dpbench.core.plugins import Method
from dpbench.core.registries import METHODS

DEFAULT_PRESET = "small"
USER_SETTINGS = "user settings"
AUTO = "auto"


@dataclass(frozen=True)
class Configured:
    """A method with its configuration, and where that came from.

    Attributes:
        auto: whether batch and steps are still to be chosen for each ε (`steps=auto`); see `planning`.
    """

    name: str
    method: type[Method]
    config: Any
    preset: str
    tuning: str
    auto: bool = False


def refuse_auto(method: Configured) -> None:
    """Raises `ConfigError` where batch and steps would have to be known."""
    if method.auto:
        raise ConfigError(f"steps=auto is settled on public data: `dpbench privacy {method.name} --propose` shows how")


def configure(methods: Sequence[str], dataset: str, preset: str, settings: Mapping[str, Any]) -> list[Configured]:
    """Every named method, configured for a dataset.

    Args:
        methods: registered names.
        dataset: name that presets may be refined for.
        preset: name of a preset that each method has.
        settings: key -> value, or "METHOD:key" -> value for one of the methods alone.

    Raises:
        UnknownName: a method, preset or setting does not exist.
        ConfigError: a setting's value is wrong, or its method is not one of those named.
    """
    if not methods:
        raise DpbenchError(f"no method is named; known: {', '.join(METHODS.names())}")
    classes = {name: METHODS.get(name) for name in dict.fromkeys(methods)}
    own = _by_method(settings, list(classes))
    return [_configured(name, cls, dataset, preset, own[name], len(classes) > 1) for name, cls in classes.items()]


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
    layers = [method.presets[key] for key in (preset, f"{preset}/{dataset}") if key in method.presets]
    values = {key: value for layer in layers for key, value in layer.settings.items()}
    auto = settings.get("steps") == AUTO and "steps" in (f.name for f in fields(method.Config))
    if auto:
        settings = {key: value for key, value in settings.items() if key != "steps"}
    tuning = USER_SETTINGS if settings else layers[-1].tuning if layers else "untuned"
    try:
        config: Any = build(method.Config, values | dict(settings))
    except DpbenchError as error:
        hint = f"; write {name}:key=value for what is not meant for every method" if several else ""
        raise ConfigError(f"method '{name}': {error}{hint}") from error
    return Configured(name, method, config, preset, tuning, auto)
