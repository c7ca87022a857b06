"""Filters: which rows stay, and that the scale of the numbers stays with them."""

from __future__ import annotations

import math

import pytest
from rows import frame, scores, trial

from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.results.filtering import keep_rows

ROWS = frame(
    (trial(method="real", reference="real", epsilon=None, key="real"), scores()),
    (trial(method="a", reference="public", epsilon=0.0, key="a0"), scores()),
    (trial(method="a", epsilon=1.0, key="a1"), scores()),
    (trial(method="a", variant="steps=2", epsilon=1.0, key="a1s"), scores()),
    (trial(method="a", epsilon=10.0, key="a10"), scores()),
    (trial(method="b", epsilon=1.0, key="b1", track="none"), scores()),
    (trial(method="b", reference="nonprivate", epsilon=math.inf, key="binf", track="none"), scores(accuracy=None)),
)


def keys(**filters: object) -> list[str]:
    return keep_rows(ROWS, **filters)["key"].tolist()  # type: ignore[arg-type]


def test_methods_keep_their_variants_and_real_images() -> None:
    assert keys(methods=["a"]) == ["real", "a0", "a1", "a1s", "a10"]
    assert keys(methods=["a[steps=2]"]) == ["real", "a1s"]


def test_budgets_keep_references() -> None:
    assert keys(epsilons=[10.0]) == ["real", "a0", "a10", "binf"]


def test_conditions_compare_texts_and_numbers() -> None:
    assert keys(conditions={"track": ["none"]}) == ["b1", "binf"]
    assert keys(conditions={"epsilon": ["1.0", "inf"], "method": ["b"]}) == ["b1", "binf"]
    assert keys(conditions={"accuracy": ["0.5"], "track": ["none"]}) == ["b1"]


def test_what_does_not_exist_is_an_error() -> None:
    with pytest.raises(UnknownName, match="unknown column 'trak'; did you mean track"):
        keys(conditions={"trak": ["none"]})
    with pytest.raises(UnknownName, match="unknown method with results 'c'"):
        keys(methods=["c"])
    with pytest.raises(DpbenchError, match="no finished trial passes"):
        keys(conditions={"track": ["foundation"]})


def test_no_rows_pass_any_filter() -> None:
    assert keep_rows(ROWS[:0], ["a"]).empty
