"""Rounded numbers."""

from __future__ import annotations

import math

import pytest

from dpbench.results.rounding import budget, privacy, rounded


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.79123, "0.791"),
        (12.3456, "12.35"),
        (1234.5, "1234"),
        (0.00012345, "0.00012"),
        (0.0, "0"),
        (-3e-9, "-3.0e-09"),
    ],
)
def test_tables_round_numbers(value: float, text: str) -> None:
    assert rounded(value) == text


def test_interval_is_rounded_like_its_mean() -> None:
    assert rounded(0.79123, 0.01234) == "0.791 ± 0.012"
    assert rounded(0, 0.01625) == "0 ± 0.016"
    assert rounded(-0.0004, 0.01625) == "0.000 ± 0.016"
    assert rounded(-0.0006, 0.00048) == "-0.00060 ± 0.00048"
    assert rounded(2e-8, 1e-8) == "2.0e-08 ± 1.0e-08"
    assert rounded(math.nan) == "–"


def test_a_budget_may_be_infinite() -> None:
    assert [budget(epsilon) for epsilon in (0.0, 0.5, 10.0, math.inf)] == ["0", "0.5", "10", "∞"]


def test_a_row_without_private_records_is_public() -> None:
    assert [privacy(epsilon) for epsilon in (0.0, 0.5, math.inf)] == ["public", "ε = 0.5", "ε = ∞"]
