"""The guided-prior refiner: one unconditional model, steered while it draws."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from two_patterns import detail, prepared, run_in, shrunk, truth

from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.refiners.guided_prior import GuidedPrior
from dpbench.refiners.networks.network_inputs import image_noise, upsampled

SMALL = {"channels": (16, 16), "steps": 200, "lr": 5e-3, "ema": 0.97, "augmentation": "none"}
BRIEF = SMALL | {"channels": (8,), "steps": 2}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def _coarse_error(folder, **settings: object) -> float:
    coarse = shrunk(truth(20))
    images = prepared(GuidedPrior, folder, SMALL | settings).refine(coarse, 16, run_in(folder))
    return float((shrunk(images) - coarse).abs().mean())


def test_guidance_steers_the_coarse_band(cache):
    free = _coarse_error(cache, strength=0, sigma_max=80, sampling_steps=10)
    steered = _coarse_error(cache, strength=20, sigma_max=80, sampling_steps=10)
    assert steered < 0.25 * free
    assert _coarse_error(cache, guidance="hard", sigma_max=80, sampling_steps=10) < 1e-3


def test_the_prior_adds_detail(cache):
    images = truth()
    refiner = prepared(GuidedPrior, cache, SMALL | {"sampling_steps": 10, "sigma_max": 2.5})
    drawn = refiner.refine(shrunk(images), 16, run_in(cache))
    assert detail(upsampled(shrunk(images), 4)).std() < 0.5 * detail(images).std()
    assert 0.6 < detail(drawn).std() / detail(images).std() < 1.2


def test_a_step_follows_the_gradient_of_the_coarse_error(cache):
    """The shift of one step is -s ∂L/∂x̂0 by automatic differentiation, with s = gain · D / 2."""
    refiner, coarse = prepared(GuidedPrior, cache, SMALL | {"sampling_steps": 1, "strength": 0.7}), shrunk(truth(3))
    refiner.refine(coarse, 16, run_in(cache))
    network, x = refiner._network, upsampled(coarse, 4)
    noise = image_noise(torch.stack([x, x], dim=1), torch.Generator().manual_seed(0))[:, 0]
    with torch.no_grad():
        clean = network.estimate(x + refiner.config.sigma_max * noise, refiner.config.sigma_max)
    clean.requires_grad_()
    F.mse_loss(F.avg_pool2d(clean, 4), coarse, reduction="none").mean((1, 2, 3)).sum().backward()
    expected = clean - refiner.config.gain * clean[0].numel() / 2 * clean.grad
    assert torch.allclose(network.refine(coarse, run_in(cache)), expected, atol=1e-5)


def test_with_many_steps_the_strength_is_that_of_the_paper():
    """s = 10 D / N and a gradient of 2 / D times the error remove 20 / N of it per step."""
    gain = build(GuidedPrior.Config, {"sampling_steps": 1000}).gain
    assert gain == pytest.approx(20 / 1000, rel=0.02)
    assert build(GuidedPrior.Config, {"sampling_steps": 3}).gain < 1
    assert build(GuidedPrior.Config, {"guidance": "hard"}).gain == 1


def test_one_prior_serves_every_corruption_and_scale(tmp_path):
    half, quarter = (prepared(GuidedPrior, tmp_path, BRIEF, levels=levels) for levels in (1, 2))
    assert len(list(tmp_path.glob("guided-prior-*.safetensors"))) == 1
    assert half.refine(torch.zeros(2, 1, 8, 8), 16, run_in(tmp_path)).shape == (2, 1, 16, 16)
    assert quarter.refine(torch.zeros(2, 1, 4, 4), 16, run_in(tmp_path)).shape == (2, 1, 16, 16)
    assert half.refine(torch.zeros(2, 1, 4, 4), 16, run_in(tmp_path)).shape == (2, 1, 16, 16)


def test_sampling_settings_train_no_new_prior(tmp_path):
    for changed in ({}, {"guidance": "hard"}, {"strength": 3, "eta": 0.5, "sampling_steps": 2, "sigma_max": 2}):
        prepared(GuidedPrior, tmp_path, BRIEF | changed)
    assert len(list(tmp_path.glob("guided-prior-*.safetensors"))) == 1


def test_fresh_noise_changes_images(cache):
    drawn = [
        prepared(GuidedPrior, cache, SMALL | {"eta": eta}).refine(shrunk(truth(3)), 16, run_in(cache)) for eta in (0, 1)
    ]
    assert not torch.allclose(*drawn, atol=0.05)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_fresh_noise_keeps_the_noise_level(tmp_path, monkeypatch, eta):
    """Where the clean estimate is zero, a step leaves noise of the next level."""
    refiner, seen = prepared(GuidedPrior, tmp_path, BRIEF | {"eta": eta, "strength": 0, "sampling_steps": 4}), []

    def nothing(x: torch.Tensor, sigma: float) -> torch.Tensor:
        seen.append(x.std().item() / sigma)
        return torch.zeros_like(x)

    monkeypatch.setattr(refiner._network, "estimate", nothing)
    refiner.refine(torch.zeros(20, 1, 4, 4), 16, run_in(tmp_path))
    assert seen == pytest.approx([1.0] * 4, rel=0.05)


@pytest.mark.parametrize("side", [3, 5])
def test_a_size_that_is_no_multiple_raises_an_error(tmp_path, side):
    with pytest.raises(ConfigError, match=f"not trained for {side} -> 16"):
        prepared(GuidedPrior, tmp_path, BRIEF).refine(torch.zeros(1, 1, side, side), 16, run_in(tmp_path))
