"""Where the records of a step are, and how many slots there are."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom
from stepping import autograd_sum, linear, squares, start, weighted, weights
from torch import Tensor, nn
from vaults import Images, pixels, steps, vault

from dpbench.core.specs import Batch
from dpbench.privacy.slots import OVERFLOW, most_sampled


def rows_of_steps(loss, count: int = 30) -> list[int]:
    """Rows, of records and of padding, that each step gives to the loss."""
    records, size = Images(pixels(200)), 8
    private = vault(records, steps(200, steps=count, expected_batch=20))
    totals = []
    for _ in start(private, linear(), loss, micro_batch=size):
        totals.append(size * len(records.reads))
        records.reads.clear()
    return totals


def test_a_loss_that_depends_on_places_gets_the_same_number_of_slots_in_every_step():
    most = -(-most_sampled(200, 0.1, 30, 1e-5) // 8) * 8
    assert len(set(rows_of_steps(squares))) > 2
    fixed = rows_of_steps(weighted)
    assert max(fixed) <= most
    assert sum(fixed) / len(fixed) > most / 2  # batches of padding alone are left out


@pytest.mark.parametrize("count", [1, 2000])
def test_a_sample_outgrows_its_slots_in_any_of_the_steps_as_rarely_as_stated(count):
    n, rate, delta = 60_000, 0.01, 1e-5
    most = most_sampled(n, rate, count, delta)
    assert count * binom.sf(most, n, rate) <= OVERFLOW * delta
    assert most < 1.5 * n * rate


def test_places_are_drawn_anew_for_every_step():
    records = Images(pixels(8))
    for _ in start(vault(records, steps(8, steps=7)), linear(), weighted, micro_batch=8):
        pass
    assert all(sorted(row) == list(range(8)) for row in records.reads)
    assert len({tuple(row) for row in records.reads}) > 5


def test_placed_records_are_all_summed_once_with_fixed_slots():
    def louder_by_place(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return squares(model, batch, generator) * torch.linspace(1, 2, len(batch))  # the same gradient, once clipped

    images, model = pixels(30), linear()
    before = weights(model)
    next(start(vault(Images(images), steps(30)), model, louder_by_place, micro_batch=7))
    torch.testing.assert_close((before - weights(model)) * 30, autograd_sum(images, 1.0), rtol=1e-3, atol=1e-4)
