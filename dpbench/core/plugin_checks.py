"""Checks of a plugin before it runs: a mistake then costs one line of error, and no private run is recorded."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any

from dpbench.core.config import build
from dpbench.core.errors import ConfigError, DpbenchError
from dpbench.core.method import Method, Preset
from dpbench.core.metric import Column, Metric
from dpbench.core.registries import METHODS, METRICS
from dpbench.core.specs import CONDITIONS


@cache
def check_method(name: str, method: type[Method[Any]]) -> None:
    """Checks the declarations of a method: its base class, constructor, `Config`, conditions and presets.

    Args:
        name: its registered name.
        method: its class.

    Raises:
        DpbenchError: a declaration is wrong; the message names the method.
    """
    what = f"method '{name}'"
    METHODS.check(name)
    _check_constructor(what, method, "config", "spec")
    if not (isinstance(method.Config, type) and is_dataclass(method.Config)):
        raise ConfigError(f"{what}: Config must be a dataclass; put @dataclass(frozen=True) above it")
    if not (isinstance(method.conditions, frozenset) and method.conditions and method.conditions <= CONDITIONS):
        raise ConfigError(f"{what}: conditions must be a frozenset of {sorted(CONDITIONS)}, not {method.conditions!r}")
    if not isinstance(method.presets, Mapping):
        raise ConfigError(f"{what}: presets must map names to Preset(...), not be a {type(method.presets).__name__}")
    for preset, declared in method.presets.items():
        if not isinstance(declared, Preset) or not isinstance(declared.settings, Mapping):
            raise ConfigError(f"{what}: preset '{preset}' must be Preset({{setting: value, ...}}), not {declared!r}")
        try:
            build(method.Config, declared.settings)
        except DpbenchError as error:
            raise ConfigError(f"{what}, preset '{preset}': {error}") from error


@cache
def check_metric(name: str, metric: type[Metric]) -> None:
    """Checks the declarations of a metric: its base class, constructor and columns.

    Args:
        name: its registered name.
        metric: its class.

    Raises:
        DpbenchError: a declaration is wrong; the message names the metric.
    """
    what = f"metric '{name}'"
    METRICS.check(name)
    _check_constructor(what, metric)
    columns = getattr(metric, "columns", ())
    if not columns:
        raise ConfigError(f"{what} declares no column; add at least one to `columns`")
    if not isinstance(columns, tuple) or not all(isinstance(column, Column) for column in columns):
        raise ConfigError(f"{what}: columns must be a tuple of Column(...), not {columns!r}")
    for column in columns:
        if column.ranked_by not in ("", *(other.name for other in columns)):
            raise ConfigError(
                f"{what}: '{column.name}' is ranked by '{column.ranked_by}', which is not one of its columns"
            )


def _check_constructor(what: str, plugin: type, *arguments: str) -> None:
    """Checks that the harness can make an instance with these arguments."""
    try:
        inspect.signature(plugin).bind(*arguments)
    except TypeError as error:
        raise ConfigError(f"{what}: its constructor must accept ({', '.join(arguments)}): {error}") from error
