import pytest
import torch
from torch import nn

from dpbench.core import footprint
from dpbench.core.footprint import MOST_ROWS, rows_that_fit, saved_bytes


@pytest.fixture(autouse=True)
def cache(monkeypatch):
    monkeypatch.setattr(footprint, "_last_level_cache", lambda: 2**20)


def test_rows_that_fit_are_a_power_of_two():
    bytes_for_all = footprint.CACHES * 2**20
    assert rows_that_fit(bytes_for_all / 64, "cpu") == 64
    assert rows_that_fit(bytes_for_all / 100, "cpu") == 64


def test_rows_that_fit_have_a_minimum_and_a_maximum():
    assert rows_that_fit(1e12, "cpu") == 1
    assert rows_that_fit(0, "cpu") == MOST_ROWS


def test_activations_are_counted_once_without_weights():
    layer, x = nn.Linear(1000, 10), torch.randn(3, 1000, requires_grad=True)
    assert saved_bytes(lambda: layer(x)) == 4 * x.numel()
    assert saved_bytes(lambda: layer(x) + layer(x)) == 4 * x.numel()
    assert saved_bytes(lambda: layer(x).sigmoid()) == 4 * (x.numel() + 30)


def test_no_activations_are_saved_without_gradients():
    assert saved_bytes(lambda: torch.ones(5).exp()) == 0
