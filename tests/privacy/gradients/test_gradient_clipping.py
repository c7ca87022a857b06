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
    flat,
    image_batch,
    next_token,
    rows_loss,
    scaled_at,
    token_batch,
)
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.privacy.checks.independence import replace
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine

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
    changed = replace(batch, other, ~real)
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


def flat_pairs(*shape: int, count: int = 24) -> Tensor:
    """[count, 2, *shape]: flat images, and the same a thousandth brighter."""
    levels = torch.rand(count, 1, generator=torch.Generator().manual_seed(0)) + 0.1
    pairs = levels * torch.tensor([1.0, 1.001])
    return pairs.reshape(count, 2, *[1] * len(shape)).expand(count, 2, *shape)


@pytest.mark.parametrize("scale", [1e3, 1e6])
@pytest.mark.parametrize(("layer", "shape"), [(nn.Linear(3072, 512), (3072,)), (nn.Conv2d(512, 256, 3), (512, 3, 3))])
def test_two_views_of_a_flat_image_do_not_escape(layer, shape, scale):
    def difference_of_views(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        y = model(batch.derived).flatten(1).sum(1)
        return scale * y * torch.tensor([1.0, -1.0]).repeat(len(y) // 2)

    engine, x = BookKeepingEngine(layer, difference_of_views), flat_pairs(*shape)
    for one in torch.eye(len(x)).bool():
        sums = engine.clipped_sum(Batch(derived=x.flatten(0, 1)), one, 2, 1.0, torch.Generator())
        assert 0.99 < flat(sums).double().norm() <= 1 + 1e-5
    engine.close()


def test_an_unscaled_critic_with_a_small_clip_lets_nothing_escape():
    def difference_of_images(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return (model(batch.derived[:, 0]) - model(batch.derived[:, 1])).squeeze(1)

    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(12288, 128), nn.ReLU(), nn.Linear(128, 1))
    engine = BookKeepingEngine(critic, difference_of_images)
    added = each_record(engine, Batch(derived=flat_pairs(12288)), clip=1e-3).double().norm(dim=1)
    assert (added <= 1e-3 * (1 + 1e-5)).all()
    assert (added > 0.99e-3).all()


@pytest.mark.parametrize("engine_class", ENGINES)
@pytest.mark.parametrize("clip", [1e-18, 1e-13, 1e-6])
def test_gradients_below_and_above_a_tiny_clip(engine_class, clip):
    torch.manual_seed(0)
    x = torch.randn(RECORDS, 4, 6) * torch.tensor([1e-6, 1e-3, 1.0, 1e3, 1e6])[:, None, None] * clip**0.5
    engine = engine_class(nn.Linear(6, 5), rows_loss)
    torch.nn.init.zeros_(engine.model.bias)
    added = each_record(engine, Batch(derived=x), clip=clip).double().norm(dim=1)
    assert (added <= clip * (1 + 1e-5)).all()
    assert (added[-2:] > 0.99 * clip).all()
    assert added[0] > 0


@pytest.mark.parametrize("engine_class", ENGINES)
@pytest.mark.parametrize("size", [1e12, 1e16, 1e20, 1e25, 1e35])
def test_gradients_near_the_end_of_the_range_are_clipped_or_zero(engine_class, size):
    """Such that their squares overflow, that the weight is tiny, that a term overflows while others cancel it."""
    torch.manual_seed(0)
    engine = engine_class(nn.Linear(6, 5), lambda model, b, g: size * (model(b.derived) ** 2)[:, 0, 0] ** 0.5)
    x = torch.randn(RECORDS, 3, 6) / torch.tensor([1, 1e10, 1e25, 1, 1])[:, None, None]
    x[3] *= 1e3
    for clip in (1e-12, 1.0):
        added = each_record(engine, Batch(derived=x), clip=clip).double().norm(dim=1)
        assert added.isfinite().all()
        assert (added <= clip * (1 + 1e-5)).all()
        assert (added[0] > 0) == (size < 1e18)
