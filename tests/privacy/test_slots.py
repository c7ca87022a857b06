"""Where the records of a step stand, and how many slots there are."""

from __future__ import annotations

import torch
from stepping import Changing, a_vault, autograd_sum, linear, squares, start, weighted, weights
from torch import Tensor, nn
from vaults import Images, pixels, steps, vault

from dpbench.core.specs import Batch
from dpbench.privacy.slots import most_sampled


def sizes_of_steps(loss, count: int = 30) -> list[int]:
    """Rows of padding and of records that each step gives to the loss."""
    rows = []

    class Spy(Changing):
        def __call__(self, *args):
            rows.append(len(args[1]))
            return super().__call__(*args)

    n = 200
    stepper = start(a_vault(n, count, expected_batch=20), linear(), Spy(squares), micro_batch=8)
    stepper._checks.order_free = loss is not weighted
    stepper._checks.before_step = lambda *_: None
    totals = []
    for _ in stepper:
        totals.append(sum(rows))
        rows.clear()
    return totals[1:]


def test_a_loss_that_depends_on_places_gets_the_same_number_of_slots_in_every_step():
    most = -(-most_sampled(200, 0.1) // 8) * 8
    assert len(set(sizes_of_steps(squares))) > 2
    fixed = sizes_of_steps(weighted)
    assert max(fixed) <= most
    assert sum(fixed) / len(fixed) > most / 2  # batches of padding alone are left out


def test_places_are_drawn_anew_for_every_step():
    places = []

    def by_place(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        places.append(batch.images[:, 0, 0, 0].detach().clone()) if watching else None
        return weighted(model, batch, generator)

    watching = False
    images = pixels(8)
    images[:, 0, 0, 0] = torch.arange(8)
    stepper = start(vault(Images(images), steps(8, steps=7)), linear(), by_place, micro_batch=8)
    stepper._checks.before_step = lambda *_: None
    watching = True
    for _ in stepper:
        pass
    assert all(sorted(row.tolist()) == list(range(8)) for row in places)
    assert len({tuple(row.tolist()) for row in places}) > 5


def test_placed_records_are_all_summed_once_with_fixed_slots():
    images, model = pixels(30), linear()
    before = weights(model)
    stepper = start(vault(Images(images), steps(30)), model, micro_batch=7)
    stepper._checks.order_free = False
    next(stepper)
    torch.testing.assert_close((before - weights(model)) * 30, autograd_sum(images, 1.0), rtol=1e-3, atol=1e-4)
