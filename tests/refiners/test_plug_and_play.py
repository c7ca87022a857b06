"""The plug-and-play refiner: each of its steps against the definition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.core.refiner import block_means
from dpbench.refiners.networks.low_rank import (
    EPSILON,
    WEIGHT,
    GroupConfig,
    low_rank,
    shrink,
    similar_places,
    weighted_nuclear_norm,
)
from dpbench.refiners.networks.low_rank_and_deep import LowRankAndDeep
from dpbench.refiners.plug_and_play import PlugAndPlay

GROUPS = GroupConfig(patch=5, neighbours=20, reach=8, stride=4)


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_shrinkage_is_the_fixed_point_of_reweighting():
    singular = torch.linspace(0, 10, 101, dtype=torch.float64)
    x = singular.clone()
    for _ in range(2000):
        x = (singular - 2 / (x + EPSILON)).clamp_min(0)
    away = (singular - 8**0.5).abs() > 0.1  # reweighting converges slowly at the threshold
    assert torch.allclose(shrink(singular, 2)[away], x[away], atol=1e-4)


def test_proximal_step_has_zero_gradient_at_its_own_weights():
    """½ ‖Y - X‖² + Σ w s(X) has the gradient X - Y + U w Vᵀ where no singular value is zero."""
    groups, sigma = _random(3, 6, 9).double() * 20, 0.1
    x = weighted_nuclear_norm(groups, sigma)
    u, s, v = torch.linalg.svd(x, full_matrices=False)
    weights = 2 * WEIGHT * 6**0.5 * sigma**2 / (s + EPSILON)
    assert torch.allclose(x - groups + (u * weights[..., None, :]) @ v, torch.zeros_like(x), atol=1e-8)


def test_noise_is_removed_from_a_matrix_of_low_rank():
    clean = _random(4, 30, 1) @ _random(4, 1, 25)
    noisy = clean + 0.1 * torch.randn(4, 30, 25, generator=torch.Generator().manual_seed(1))
    denoised = weighted_nuclear_norm(noisy, 0.1)
    assert torch.linalg.matrix_rank(denoised, atol=1e-3).tolist() == [1] * 4
    assert (denoised - clean).norm() < 0.4 * (noisy - clean).norm()


def test_groups_hold_the_most_similar_patches_in_the_window():
    image, config = _random(1, 2, 12, 11), GroupConfig(patch=3, neighbours=4, reach=3, stride=3)
    places = similar_places(image, 3, config)
    patches = F.unfold(image, 3)[0].T
    row, column = torch.arange(len(patches)) // 9, torch.arange(len(patches)) % 9
    for group in places[0]:
        centre = group[0]
        near = ((row - row[centre]).abs() <= 3) & ((column - column[centre]).abs() <= 3)
        distances = (patches - patches[centre]).square().mean(1).where(near, torch.inf)
        assert set(group.tolist()) == set(distances.topk(4, largest=False).indices.tolist())


@pytest.mark.parametrize("size", [1, 4, 7, 16])
def test_low_rank_without_noise_changes_nothing(size):
    image = _random(2, 3, size, size)
    assert torch.allclose(low_rank(image, 0.0, GROUPS), image, atol=1e-4)


def test_groups_cover_every_pixel_of_a_flat_image():
    assert torch.allclose(low_rank(torch.ones(1, 1, 30, 30), 0.1, GROUPS), torch.ones(1, 1, 30, 30))


def test_repeated_patterns_are_denoised():
    stripes = (torch.arange(24) // 3 % 2 * 2 - 1.0).expand(1, 1, 24, 24)
    noisy = stripes + 0.3 * _random(1, 1, 24, 24)
    assert (low_rank(noisy, 0.3, GROUPS) - stripes).norm() < 0.4 * (noisy - stripes).norm()


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_data_step_is_the_minimum(error):
    network = LowRankAndDeep(1, 8, 1, 4, GROUPS, [0.2], deep=0.5).double()
    network.error.fill_(error or 1e-4)
    z, y = _random(1, 1, 8, 8).double(), _random(1, 1, 2, 2).double()
    x = network.data_step(z, y, 0.2).requires_grad_()
    tau = float(network.error)
    ((y - block_means(x, 4)).square().sum() / (2 * tau**2) + (x - z).square().sum() / (2 * 0.2**2)).backward()
    assert x.grad is not None
    assert x.grad.abs().max() < 1e-6
    if not error:
        assert torch.allclose(block_means(x, 4), y, atol=1e-4)


def test_noise_levels_fall_geometrically():
    sigmas = build(PlugAndPlay.Config, {"sigma_max": 0.8, "sigma_min": 0.1, "iterations": 4}).sigmas
    assert sigmas == pytest.approx([0.8, 0.4, 0.2, 0.1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma_min": 0.9}, r"sigma_min = 0.9 must not be above sigma_max = 0.5"),
        ({"stride": 6}, "stride = 6 must not be above patch = 5"),
    ],
)
def test_settings_that_do_not_fit_raise_an_error(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(PlugAndPlay.Config, settings)
