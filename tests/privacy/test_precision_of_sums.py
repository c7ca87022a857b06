"""Norms and sums in fp32, whatever torch is told to compute fp32 in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from dpbench.core.specs import Batch
from dpbench.models.precision import full_precision
from dpbench.privacy.clipping import clipped_sum
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def highest_afterwards() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")


def sums(precision: str) -> list[torch.Tensor]:
    """Of an engine and of `clipped_sum`, with losses in full precision."""
    torch.manual_seed(0)
    model, x = nn.Linear(512, 512), torch.randn(8, 16, 512)
    real = torch.ones(8).bool()

    def loss(model, batch, generator):
        with full_precision(CPU):
            return ((model(batch.derived) - 1) ** 2).mean((1, 2))

    torch.set_float32_matmul_precision(precision)
    engine = BookKeepingEngine(model, loss)
    return [*engine.clipped_sum(Batch(derived=x), real, 1, 0.01, torch.Generator()), clipped_sum(x, real, 0.5)]


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_sums_do_not_depend_on_the_precision_of_matrix_products(precision):
    for expected, found in zip(sums("highest"), sums(precision), strict=True):
        assert torch.equal(expected, found)
