"""Values from callers and files, as their types declare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpbench.core.errors import ConfigError
from dpbench.core.typed_values import as_declared, is_sequence


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, "3", 3),
        (int, np.int64(3), 3),
        (float | None, "1e-5", 1e-5),
        (float | None, None, None),
        (Path, "a/b", Path("a/b")),
        (Sequence[float], 1, (1.0,)),
        (Sequence[float], np.array([1, 5]), (1.0, 5.0)),
        (Sequence[float], range(2), (0.0, 1.0)),
        (Sequence[str], "abc", ("abc",)),
        (Sequence[Path], Path("a"), (Path("a"),)),
        (Sequence[str] | None, ["a"], ("a",)),
        (Sequence[str] | None, None, None),
        (Mapping[str, Any], {"a": (1, 2)}, {"a": (1, 2)}),
    ],
)
def test_values_take_their_declared_type(hint: Any, value: Any, expected: Any) -> None:
    found = as_declared("it", hint, value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (int, 10.5, "it: input should be a valid integer"),
        (int, "many", "it: input should be a valid integer"),
        (str, None, "it: input should be a valid string"),
        (Path, 3, "it: input is not a valid path"),
        (Sequence[float], [1, "x"], "it: 1: input should be a valid number"),
        (Sequence[str], 3, "it: 0: input should be a valid string"),
        (Sequence[str], None, "it: input should be a list, not None"),
        (Sequence[str], {"a": 1}, "it: input should be a list, not {'a': 1}"),
        (Mapping[str, Any], "steps=3", "it: input should be a valid dictionary"),
        (Mapping[str, Any], {1: 2}, "it: 1"),
    ],
)
def test_other_values_are_one_line(hint: Any, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        as_declared("it", hint, value)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_text_is_no_sequence() -> None:
    assert [is_sequence(hint) for hint in (Sequence[str], Sequence[str] | None, str, Mapping[str, Any])] == [
        *(True, True, False, False)
    ]
