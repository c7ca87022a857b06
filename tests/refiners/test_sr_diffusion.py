"""The sr-diffusion refiner: an estimate, and a diffusion model that sees it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from two_patterns import detail, prepared, run_in, shrunk, truth

from dpbench.core.config import build
from dpbench.refiners.sr_diffusion import SrDiffusion

SMALL = {
    "channels": (16, 16), "width": 16, "depth": 1, "steps": 150, "lr": 5e-3, "ema": 0.97, "augmentation": "none",
}  # fmt: skip
BRIEF = SMALL | {"channels": (8,), "steps": 2}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_drawn_detail_has_the_energy_of_real_detail(cache):
    images = truth()
    drawn = prepared(SrDiffusion, cache, SMALL).refine(shrunk(images), 16, run_in(cache))
    assert 0.7 < detail(drawn).std() / detail(images).std() < 1.2
    assert (shrunk(drawn) - shrunk(images)).abs().mean() < 0.06


def test_draws_differ_around_the_estimate(cache):
    """The estimate leans towards one of the possible patterns, and the draws with it; their detail differs."""
    coarse = shrunk(truth(1)).expand(20, -1, -1, -1)
    refiner = prepared(SrDiffusion, cache, SMALL)
    drawn, estimate = refiner.refine(coarse, 16, run_in(cache)), refiner._network.estimator(coarse)
    spread, distance = drawn.std(0).mean(), (drawn.mean(0) - estimate[0]).abs().mean()
    assert spread > 0.02
    assert distance < 2 * spread


def test_the_denoiser_sees_the_noisy_image_and_the_estimate(tmp_path):
    refiner, coarse = prepared(SrDiffusion, tmp_path, BRIEF, channels=3), shrunk(truth(2, channels=3))
    seen = []
    refiner._network.denoiser.network.register_forward_pre_hook(lambda network, inputs: seen.append(inputs[0]))
    refiner.refine(coarse, 16, run_in(tmp_path))
    estimate = refiner._network.estimator(coarse)
    assert len(seen) > 1
    assert all(torch.allclose(inputs[:2, 3:], estimate, atol=1e-5) for inputs in seen if len(inputs) == 2)


def test_the_estimate_is_trained_by_its_own_loss_alone():
    network, images = SrDiffusion(build(SrDiffusion.Config, BRIEF)).network(1, 4), truth(8)
    network.loss(images, shrunk(images), torch.Generator().manual_seed(0)).backward()
    gradients = [p.grad.clone() for p in network.estimator.parameters()]
    network.zero_grad()
    F.l1_loss(network.estimator(shrunk(images)), images).backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(gradients, network.estimator.parameters(), strict=True))


def test_sampling_is_deterministic_given_the_first_noise(cache):
    """Steps of DDIM with η = 0 approach the path of the first noise: more of them give nearly the same image."""
    coarse, weights = shrunk(truth(2)), prepared(SrDiffusion, cache, SMALL).state_dict()
    drawn = []
    for steps in (60, 90):
        refiner = SrDiffusion(build(SrDiffusion.Config, SMALL | {"sampling_steps": steps}))
        refiner.load_state_dict(weights)
        drawn.append(refiner.refine(coarse, 16, run_in(cache)))
    assert (drawn[0] - drawn[1]).abs().mean() < 0.03


def test_sampling_settings_train_no_new_network(tmp_path):
    for changed in ({}, {"sampling_steps": 3}, {"sigma_min": 0.2, "sigma_max": 5}):
        prepared(SrDiffusion, tmp_path, BRIEF | changed)
    assert len(list(tmp_path.glob("sr-diffusion-*.safetensors"))) == 1


@pytest.mark.parametrize("size", [12, 20])
def test_indivisible_sizes_are_padded(tmp_path, size):
    refiner = prepared(SrDiffusion, tmp_path, BRIEF | {"channels": (8, 8)}, size=20)
    images = refiner.refine(torch.zeros(2, 1, size // 4, size // 4), size, run_in(tmp_path))
    assert images.shape == (2, 1, size, size)
