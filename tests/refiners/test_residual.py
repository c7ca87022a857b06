"""The residual refiner on images with detail that the coarse version does not determine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.refiners.degrade import BlockMeans
from dpbench.refiners.residual import Residual
from dpbench.training.public import to_unit

SMALL = {"channels": (16, 16), "patch": 2, "batch": 32, "steps": 120, "lr": 5e-3, "ema": 0.97, "augmentation": "none"}
BRIEF = SMALL | {"channels": (8,), "steps": 2}


def _stripes(seed: int, channels: int = 1, size: int = 16) -> ArrayDataset:
    """Images with a dark and a bright half; each half has one of two stripe patterns with equal block means."""
    random = np.random.default_rng(seed)
    row, column = np.indices((size, size))
    patterns = np.stack([row // 2 % 2, column // 2 % 2])[random.integers(0, 2, 300)]  # [300, size, size]
    ground = np.where(column < random.integers(4, size - 4, 300)[:, None, None], 60, 160)
    images = (ground + 60 * patterns).astype(np.uint8)[:, None].repeat(channels, 1)
    return ArrayDataset(DatasetSpec("stripes", channels, size, 300, 0, None, True), images, None)


def _truth(count: int = 100, **shape: int) -> Tensor:
    return to_unit(_stripes(1, **shape).batch(range(count)).images)


def _coarse(images: Tensor) -> Tensor:
    return BlockMeans(2, 0.0)(images, torch.Generator())


def _run(folder, seed: int = 0) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(seed), PublicCache(folder))


def _prepared(folder, settings: dict, **shape: int) -> Residual:
    refiner = Residual(build(Residual.Config, settings))
    refiner.prepare(_stripes(0, **shape), BlockMeans(2, 0.02), _run(folder))
    return refiner


def _detail(images: Tensor) -> Tensor:
    return images - F.interpolate(F.avg_pool2d(images, 4), scale_factor=4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_generated_detail_has_the_energy_of_real_detail(cache):
    truth = _truth()
    drawn = _prepared(cache, SMALL).refine(_coarse(truth), 16, _run(cache))
    smooth = F.interpolate(_coarse(truth), scale_factor=4, mode="bicubic")
    wanted = _detail(truth).std()
    assert _detail(smooth).std() < 0.5 * wanted
    assert 0.8 * wanted < _detail(drawn).std() < 1.2 * wanted
    assert (_coarse(drawn) - _coarse(truth)).abs().mean() < 0.05


def test_both_possible_patterns_are_sampled(cache):
    coarse = _coarse(_truth(1)).expand(60, -1, -1, -1)
    detail = _detail(_prepared(cache, SMALL).refine(coarse, 16, _run(cache)))
    across, along = (detail.diff(dim=d).abs().mean((1, 2, 3)) for d in (2, 3))
    assert 10 < (across > along).sum() < 50


def test_images_depend_on_the_generator_not_on_call_splits(tmp_path):
    refiner, coarse = _prepared(tmp_path, BRIEF, channels=3), _coarse(_truth(7, channels=3))
    whole = refiner.refine(coarse, 16, _run(tmp_path))
    run = _run(tmp_path)
    parts = torch.cat([refiner.refine(part, 16, run) for part in coarse.split([1, 4, 2])])
    assert torch.allclose(whole, parts, atol=1e-4)
    assert not torch.allclose(whole, refiner.refine(coarse, 16, _run(tmp_path, seed=1)), atol=0.1)


def test_cache_key_excludes_sampler_settings(tmp_path):
    _prepared(tmp_path, BRIEF)
    before = list(tmp_path.glob("residual-*.safetensors"))
    _prepared(tmp_path, BRIEF | {"sampling_steps": 3, "sigma_max": 5})
    assert list(tmp_path.glob("residual-*.safetensors")) == before
    _prepared(tmp_path, BRIEF | {"lr": 1e-3})
    assert len(list(tmp_path.glob("residual-*.safetensors"))) == 2


def test_residuals_have_the_deviation_of_public_residuals(tmp_path):
    state = _prepared(tmp_path, BRIEF).state_dict()
    truth = to_unit(_stripes(0).batch(range(300)).images)
    residual = truth - F.interpolate(_coarse(truth), scale_factor=4, mode="bicubic")
    assert state["deviation"].item() == pytest.approx(residual.std().item(), rel=0.05)
    assert state["factor"].item() == 4


@pytest.mark.parametrize("size", [16, 20, 44])
def test_indivisible_sizes_are_padded(tmp_path, size):
    """Images of other sizes than the training images are refined equally well."""
    refiner = _prepared(tmp_path, BRIEF | {"channels": (8, 8)}, size=20)
    images = refiner.refine(torch.zeros(2, 1, size // 4, size // 4), size, _run(tmp_path))
    assert images.shape == (2, 1, size, size)


def test_untrained_scale_raises_an_error(tmp_path):
    with pytest.raises(ConfigError, match="not trained for 4 -> 16"):
        Residual(build(Residual.Config, {})).refine(torch.zeros(1, 1, 4, 4), 16, _run(tmp_path))
    with pytest.raises(ConfigError, match="not trained for 8 -> 16"):
        _prepared(tmp_path, BRIEF).refine(torch.zeros(1, 1, 8, 8), 16, _run(tmp_path))


def test_noise_levels_in_the_wrong_order_raise_an_error():
    with pytest.raises(ConfigError, match=r"sigma_min = 90 must be below sigma_max = 80"):
        build(Residual.Config, {"sigma_min": 90})


def test_invalid_network_sizes_raise_an_error():
    with pytest.raises(ConfigError, match=r"patch=0 must lie in \[1, ∞\)"):
        Residual(build(Residual.Config, {"patch": 0}))
