"""Norms from above, and weights: what every clipped sum is made of."""

from __future__ import annotations

import math

import pytest
import torch

from dpbench.privacy.clipping import BLOCK, LARGEST, clip_weights, squared_norms


def exact(values: torch.Tensor) -> torch.Tensor:
    return values.double().flatten(1).square().sum(1)


@pytest.mark.parametrize("length", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 10_007])
@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0, 1e15])
def test_squared_norms_are_bounds_from_above_and_tight(length, size):
    draws = torch.Generator().manual_seed(0)
    values = size * torch.randn(500, length, generator=draws)
    values[:100] = size * torch.rand(100, 1, generator=draws)
    found = squared_norms(values)
    assert (found >= exact(values)).all()
    assert (found <= (1 + 4e-5) * exact(values)).all()


def test_squares_that_are_too_small_for_fp32_are_counted():
    values = torch.full((1, 10_000), 1e-24)
    assert squared_norms(values) >= exact(values)


def test_squares_that_are_too_large_for_fp32_are_infinite():
    assert squared_norms(torch.full((1, 3), 1e25)).isinf()
    assert squared_norms(torch.tensor([[1.0, math.nan]])).isnan()


def test_a_long_vector_is_measured_like_a_short_one():
    values = torch.full((1, 2**26 + 3), 0.1)
    assert squared_norms(values) == pytest.approx((2**26 + 3) * 0.1**2, rel=4e-5)


def weights(norms: torch.Tensor, clip: float) -> tuple[torch.Tensor, torch.Tensor]:
    return clip_weights(norms.double().square(), torch.ones(len(norms)).bool(), clip)


@pytest.mark.parametrize("clip", [1e-30, 1e-12, 1e-3, 1.0, 1e6])
def test_no_weight_lifts_a_norm_above_the_clip_and_none_is_needlessly_small(clip):
    norms = clip * torch.logspace(-6, 6, 1001).double()
    found, kept = weights(norms, clip)
    assert kept.all()
    assert (found.double() * norms <= clip * (1 + 1e-7)).all()
    assert (found.double() * norms >= norms.clamp_max(clip) * (1 - 1e-7)).all()


def test_without_a_clip_all_weights_are_one():
    found, kept = weights(torch.tensor([0.0, 1e-30, 1.0, 1e29, math.inf, math.nan]), math.inf)
    assert found.tolist() == [1, 1, 1, 1, 0, 0]
    assert kept.tolist() == [True, True, True, True, False, False]


def test_norms_that_fp32_cannot_scale_count_as_zero():
    found, kept = weights(torch.tensor([1.0, 2 * LARGEST]).double(), 1.0)
    assert found.tolist() == [1, 0]
    assert kept.tolist() == [True, False]
    found, kept = weights(torch.tensor([1e28]).double(), 1e-12)  # a weight of 1e-40 would have 17 bits
    assert found == 0
    assert kept
