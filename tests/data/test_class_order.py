"""The order of class names."""

from __future__ import annotations

import pytest

from dpbench.data.class_order import class_order


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("0 1 10 11 2", "0 1 2 10 11"),
        ("10 -1 2", "-1 2 10"),
        ("00 01 10", "00 01 10"),
        ("01 1 2", "01 1 2"),
        ("1a 10 2", "10 1a 2"),
        ("dog Cat bird", "Cat bird dog"),
    ],
)
def test_integers_go_by_value_and_all_else_by_alphabet(names: str, order: str) -> None:
    assert class_order(reversed(names.split())) == tuple(order.split())
