"""Canaries in a batch: marks, contributions, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stepping import flat, linear, squares
from torch import Tensor
from vaults import Images, pixels

from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.auditing.canaries import Canaries, CanaryContribution, CanaryRecords, WithCanaries
from dpbench.privacy.private_data import ENGINES

PRESENT = np.array([True, False, True, True])
CLASSES = {"classes": ("a", "b", "c"), "no classes": None}
CANARIES = Canaries(4)


def records(classes: tuple[str, ...] | None = ("a", "b", "c")) -> CanaryRecords:
    spec = DatasetSpec("sensitive", 1, 4, 10, 1, classes, True)
    return CanaryRecords(Images(pixels(6), 3), spec, PRESENT)


@pytest.mark.parametrize("classes", CLASSES.values(), ids=CLASSES)
def test_marks_come_off_again(classes: tuple[str, ...] | None) -> None:
    order = [7, 2, 1, 0, 9, 3]
    marked = records(classes).batch(order).repeat(2)
    plain, marks = CANARIES.unmark(marked)
    assert marks.tolist() == [m for mark in (0, 3, 5, 1, 0, 4) for m in (mark, mark)]
    assert torch.equal(plain.images, Images(pixels(6), 3).batch([i % 6 for i in order]).repeat(2).images)
    labels = None if plain.labels is None else plain.labels.tolist()
    assert labels == (None if classes is None else [i % 6 % 3 for i in order for _ in range(2)])


def test_a_canary_that_is_out_has_no_number() -> None:
    assert CANARIES.number(torch.tensor([0, 1, 4, 5])).tolist() == [0, 1, 4, 0]


def test_a_batch_without_marks_has_no_canaries() -> None:
    batch = Batch(pixels(3))
    plain, marks = CANARIES.unmark(batch)
    assert plain is batch
    assert marks.tolist() == [0, 0, 0]


def _hybrid(values: Tensor, sparse_dims: int) -> Tensor:
    return values.to_sparse(sparse_dims)


def _scalar(batch: Batch) -> Tensor:
    return batch.images.float().mean((1, 2, 3))


def _cube(batch: Batch) -> Tensor:
    return flat(batch).reshape(-1, 4, 2, 2)


CONTRIBUTIONS = {
    "scalar": _scalar,
    "vector": flat,
    "cube": _cube,
    "sparse vector": lambda batch: _hybrid(flat(batch), 2),
    "sparse in all": lambda batch: _hybrid(_cube(batch), 4),
    "hybrid": lambda batch: _hybrid(_cube(batch), 2),
    "sparse in records": lambda batch: _hybrid(_cube(batch), 1),
}


@pytest.mark.parametrize("contribution", CONTRIBUTIONS.values(), ids=CONTRIBUTIONS)
def test_a_contribution_gets_places_for_canaries(contribution) -> None:
    batch = records().batch(range(10))
    wide = CanaryContribution(contribution, CANARIES, 100.0)
    values = wide(batch)
    assert values.is_sparse == (contribution(batch).is_sparse and contribution(batch).sparse_dim() > 1)
    total, own = wide.split(values.to_dense().sum(0))
    ordinary = contribution(batch.map(lambda t: t[4:]))
    ordinary = ordinary.to_dense() if ordinary.is_sparse else ordinary
    assert torch.allclose(total, ordinary.sum(0))
    assert own.tolist() == [0, 100, 0, 100, 100]
    norms = values.to_dense().flatten(1).norm(dim=1)
    assert norms[:4].tolist() == [100, 0, 100, 100]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("views", [1, 3])
def test_a_canarys_gradient_is_made_and_clipped_by_the_engine(engine: str, views: int) -> None:
    clip, batch = 0.25, records().batch(range(10))
    model = linear()
    with_canaries = WithCanaries(model, CANARIES, squares, 1e4 * clip)
    gradients = ENGINES[engine](with_canaries, WithCanaries.loss)
    real = torch.ones(10, dtype=torch.bool)
    *ordinary, own = gradients.clipped_sum(batch.repeat(views), real, views, clip, torch.Generator())
    gradients.close()
    assert own.flatten().tolist() == pytest.approx(
        [0, clip, 0, clip, clip], rel=3e-5
    )  # clipped by an upper bound on the norm
    alone = ENGINES[engine](model, squares)
    plain = CANARIES.unmark(batch)[0].map(lambda t: t[4:])
    expected = alone.clipped_sum(plain.repeat(views), real[4:], views, clip, torch.Generator())
    alone.close()
    for a, b in zip(ordinary, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
