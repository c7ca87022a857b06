"""The residual refiner on images with detail that the coarse version does not determine."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from two_patterns import detail, patterns, prepared, run_in, shrunk, truth

from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.models.image_range import to_unit
from dpbench.refiners.residual import Residual

SMALL = {"channels": (16, 16), "patch": 2, "batch": 32, "steps": 120, "lr": 5e-3, "ema": 0.97, "augmentation": "none"}
BRIEF = SMALL | {"channels": (8,), "steps": 2}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_generated_detail_has_the_energy_of_real_detail(cache):
    images = truth()
    drawn = prepared(Residual, cache, SMALL).refine(shrunk(images), 16, run_in(cache))
    smooth = F.interpolate(shrunk(images), scale_factor=4, mode="bicubic")
    wanted = detail(images).std()
    assert detail(smooth).std() < 0.5 * wanted
    assert 0.8 * wanted < detail(drawn).std() < 1.2 * wanted
    assert (shrunk(drawn) - shrunk(images)).abs().mean() < 0.05


def test_both_possible_patterns_are_sampled(cache):
    coarse = shrunk(truth(1)).expand(60, -1, -1, -1)
    drawn = detail(prepared(Residual, cache, SMALL).refine(coarse, 16, run_in(cache)))
    across, along = (drawn.diff(dim=d).abs().mean((1, 2, 3)) for d in (2, 3))
    assert 10 < (across > along).sum() < 50


def test_images_depend_on_the_generator_not_on_call_splits(tmp_path):
    refiner, coarse = prepared(Residual, tmp_path, BRIEF, channels=3), shrunk(truth(7, channels=3))
    whole = refiner.refine(coarse, 16, run_in(tmp_path))
    run = run_in(tmp_path)
    parts = torch.cat([refiner.refine(part, 16, run) for part in coarse.split([1, 4, 2])])
    assert torch.allclose(whole, parts, atol=1e-4)
    assert not torch.allclose(whole, refiner.refine(coarse, 16, run_in(tmp_path, seed=1)), atol=0.1)


def test_cache_key_excludes_sampler_settings(tmp_path):
    prepared(Residual, tmp_path, BRIEF)
    before = list(tmp_path.glob("residual-*.safetensors"))
    prepared(Residual, tmp_path, BRIEF | {"sampling_steps": 3, "sigma_max": 5})
    assert list(tmp_path.glob("residual-*.safetensors")) == before
    prepared(Residual, tmp_path, BRIEF | {"lr": 1e-3})
    assert len(list(tmp_path.glob("residual-*.safetensors"))) == 2


def test_residuals_have_the_deviation_of_public_residuals(tmp_path):
    state = prepared(Residual, tmp_path, BRIEF).state_dict()
    images = to_unit(patterns(0).batch(range(300)).images)
    residual = images - F.interpolate(shrunk(images), scale_factor=4, mode="bicubic")
    assert state["deviation"].item() == pytest.approx(residual.std().item(), rel=0.05)
    assert state["channels_and_scale"].tolist() == [1, 4]


@pytest.mark.parametrize("size", [16, 20, 44])
def test_indivisible_sizes_are_padded(tmp_path, size):
    """Images of other sizes than the training images are refined equally well."""
    refiner = prepared(Residual, tmp_path, BRIEF | {"channels": (8, 8)}, size=20)
    images = refiner.refine(torch.zeros(2, 1, size // 4, size // 4), size, run_in(tmp_path))
    assert images.shape == (2, 1, size, size)


def test_untrained_scale_raises_an_error(tmp_path):
    with pytest.raises(ConfigError, match="not trained for 4 -> 16"):
        Residual(build(Residual.Config, {})).refine(torch.zeros(1, 1, 4, 4), 16, run_in(tmp_path))
    with pytest.raises(ConfigError, match="not trained for 8 -> 16"):
        prepared(Residual, tmp_path, BRIEF).refine(torch.zeros(1, 1, 8, 8), 16, run_in(tmp_path))


def test_noise_levels_in_the_wrong_order_raise_an_error():
    with pytest.raises(ConfigError, match=r"sigma_min = 90 must be below sigma_max = 80"):
        build(Residual.Config, {"sigma_min": 90})


def test_invalid_network_sizes_raise_an_error():
    with pytest.raises(ConfigError, match=r"patch=0 must lie in \[1, ∞\)"):
        Residual(build(Residual.Config, {"patch": 0}))
