"""What one record can do to a sum: at most the clip."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from engines import (
    ENGINES,
    RECORDS,
    Transformer,
    clipped_sum,
    each_record,
    everyone,
    image_batch,
    next_token,
    rows_loss,
    scaled_at,
    token_batch,
)
from torch import Tensor, nn

from dpbench.core.specs import Batch

BATCHED_CASES = ["conv net-opacus", "conv net-book-keeping", "transformer-opacus", "transformer-book-keeping"]


def test_a_record_contributes_at_most_the_clip(case):
    engine, batch, _ = case
    for clip in (1e-3, 0.1, 1.0):
        contributions = each_record(engine, batch, clip=clip).norm(dim=1)
        assert (contributions <= clip * (1 + 1e-5)).all()
        without = [clipped_sum(engine, batch, ~one, clip=clip) for one in torch.eye(RECORDS).bool()]
        total = clipped_sum(engine, batch, clip=clip)
        assert all((total - rest).norm() <= clip * (1 + 1e-4) for rest in without)


def test_padding_contributes_nothing(case):
    engine, batch, _ = case
    real = torch.tensor([True, False, True, True, False])
    total = clipped_sum(engine, batch, real, views=3, clip=0.5)
    others = {image_batch: batch.images is not None, token_batch: batch.images is None}
    other = next(make for make, right in others.items() if right)(seed=1)
    changed = batch.map(lambda t: t.clone())
    for mine, its in ((changed.images, other.images), (changed.labels, other.labels), (changed.derived, other.derived)):
        if mine is not None:
            mine[~real] = its[~real]
    torch.testing.assert_close(clipped_sum(engine, changed, real, views=3, clip=0.5), total)
    assert not clipped_sum(engine, batch, ~everyone(), clip=0.5).any()


@pytest.mark.parametrize("case", BATCHED_CASES, indirect=True)
def test_only_padding_is_zero_even_where_its_loss_is_not_a_number(case):
    engine, batch, _ = case
    expected = clipped_sum(engine, batch, torch.arange(RECORDS) >= 2, clip=0.5)
    engine.loss = scaled_at(engine.loss, {0: float("nan"), 1: float("inf")})
    found = clipped_sum(engine, batch, torch.arange(RECORDS) >= 2, clip=0.5)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("case", BATCHED_CASES, indirect=True)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30], ids=["nan", "inf", "overflow"])
@pytest.mark.parametrize("clip", [0.5, math.inf], ids=["clipped", "unclipped"])
def test_a_record_whose_gradient_is_not_finite_counts_as_zero_and_spoils_nothing(case, value, clip):
    engine, batch, _ = case
    expected = clipped_sum(engine, batch, torch.arange(RECORDS) != 1, clip=clip)
    engine.loss = scaled_at(engine.loss, {1: value})
    torch.testing.assert_close(clipped_sum(engine, batch, clip=clip), expected)


@pytest.mark.parametrize("engine_class", ENGINES)
def test_activations_that_are_not_finite_spoil_nothing(engine_class):
    torch.manual_seed(0)
    engine = engine_class(nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 1)), rows_loss)
    x = torch.randn(RECORDS, 4)
    expected = clipped_sum(engine, Batch(derived=x), torch.arange(RECORDS) != 1, clip=0.1)
    x[1, 2] = float("inf")
    torch.testing.assert_close(clipped_sum(engine, Batch(derived=x), clip=0.1), expected)


class Difference(nn.Module):
    """Its weight's gradient is a difference of two terms that nearly cancel."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return (y[:, 0] - y[:, 1]).flatten(1).sum(1)


@pytest.mark.parametrize("engine_class", ENGINES)
@pytest.mark.parametrize(
    "layer", [nn.Linear(64, 64), nn.Linear(4, 4, bias=False), nn.Embedding(3, 8), nn.LayerNorm(64)], ids=repr
)
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_a_gradient_that_cancels_in_floating_point_does_not_escape_its_clip(engine_class, layer, scale):
    torch.manual_seed(0)
    engine = engine_class(Difference(copy.deepcopy(layer)), lambda model, b, g: scale * model(b.derived))
    if isinstance(layer, nn.Embedding):
        x = torch.tensor([[1, 1], [1, 2]])
    else:
        base = torch.randn(2, 1, layer.weight.shape[-1])
        x = torch.cat([base, base + 1e-4 * torch.randn(base.shape)], dim=1)
    assert (each_record(engine, Batch(derived=x), clip=1.0).norm(dim=1) <= 1 + 1e-5).all()


@pytest.mark.parametrize("engine_class", ENGINES)
def test_autocast_does_not_loosen_the_clip(engine_class):
    torch.manual_seed(0)
    engine = engine_class(Transformer(), next_token)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        contributions = each_record(engine, token_batch(), clip=1e-3).norm(dim=1)
    assert (contributions <= 1e-3 * (1 + 1e-5)).all()
