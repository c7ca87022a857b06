"""Ranges, and those of the settings of dpbench's own plugins."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest

from dpbench import METHODS, REFINERS
from dpbench.core.config import Choice, build
from dpbench.core.errors import ConfigError
from dpbench.core.ranges import Range


@pytest.mark.parametrize(
    ("allowed", "text", "inside", "outside"),
    [
        (Range(low=1), "[1, ∞)", [1, 1e30], [0, math.inf, math.nan]),
        (Range(above=0, high=1), "(0, 1]", [1e-9, 1], [0, 1.1, -math.inf]),
        (Range(low=0, below=1), "[0, 1)", [0, 0.999], [1, -1e-9]),
        (Range(), "(-∞, ∞)", [-1e300, 0], [math.inf, -math.inf, math.nan]),
    ],
)
def test_range_contains_what_it_says(allowed: Range, text: str, inside: list[float], outside: list[float]) -> None:
    assert str(allowed) == text
    assert all(number in allowed for number in inside)
    assert not any(number in allowed for number in outside)


def numeric_options() -> Iterator[tuple[type, str, Range]]:
    """(configuration, field, range) of every numeric option of every plugin that dpbench provides."""
    for registry in (METHODS, REFINERS):
        for name in filter(registry.is_builtin, registry.names()):
            config: type = registry.get(name).Config
            for f in dataclasses.fields(config):
                default = getattr(build(config, {}), f.name)
                if not isinstance(default, bool | str | Choice):
                    yield config, f.name, f.metadata["range"]


@pytest.mark.parametrize(("config", "name", "allowed"), list(numeric_options()), ids=str)
def test_numeric_option_has_a_lower_bound_and_refuses_what_is_outside(config: type, name: str, allowed: Range) -> None:
    lowest = max(allowed.low, allowed.above)
    assert math.isfinite(lowest)
    is_tuple = isinstance(getattr(build(config, {}), name), tuple)
    for number in (math.nan, math.inf, lowest - 1):
        value: Any = (number,) if is_tuple else number
        with pytest.raises(ConfigError, match=name):
            build(config, {name: value})
