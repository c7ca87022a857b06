"""The burst refiner: fusion of several coarse images around the first one."""

from __future__ import annotations

import pytest
import torch

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.models.image_range import to_uint8
from dpbench.refiners.burst import Burst
from dpbench.refiners.degrade import BlockMeans
from dpbench.refiners.networks.burst_fusion import AdaptiveUpsampling, BurstFusion
from dpbench.refiners.networks.training import trained_weights

NOISE = 0.5


def _shades(count: int, seed: int) -> torch.Tensor:
    """Images of four quarters in random shades: [count, 1, 8, 8]."""
    quarters = torch.rand(count, 1, 2, 2, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8
    return quarters.repeat_interleave(4, -1).repeat_interleave(4, -2)


@pytest.fixture(scope="module")
def refiner(tmp_path_factory) -> Burst:
    spec = DatasetSpec("shades", 1, 8, 500, 0, None, True)
    public = ArrayDataset(spec, to_uint8(_shades(500, 0)).numpy(), None)
    burst = Burst(build(Burst.Config, {"steps": 700, "width": 16, "depth": 1, "lr": 5e-3, "augmentation": "none"}))
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the public cache would seed it with a hash of the code
        run = _run(tmp_path_factory.mktemp("cache"))
        burst.load_state_dict(trained_weights(burst, public, BlockMeans(1, NOISE), run))
    return burst


def _run(folder) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(folder))


def _draws(images: torch.Tensor, count: int, seed: int = 5) -> torch.Tensor:
    """Coarse draws of the same images with independent noise: [n, count, 1, 4, 4]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([BlockMeans(1, NOISE)(images, generator) for _ in range(count)], dim=1)


def _error(refiner: Burst, coarse: torch.Tensor, images: torch.Tensor, folder) -> float:
    return float((refiner(coarse, 8, _run(folder)) - images).abs().mean())


def test_more_draws_of_the_same_image_help_and_other_images_do_little_harm(refiner, tmp_path):
    images = _shades(200, 1)
    burst = _draws(images, 4)
    alone = _error(refiner, burst[:, 0], images, tmp_path)
    together = _error(refiner, burst, images, tmp_path)
    mixed = torch.cat([burst[:, :1], _draws(images.roll(1, 0), 3)], dim=1)
    assert together < 0.8 * alone
    assert _error(refiner, mixed, images, tmp_path) < 1.4 * alone
    averaged = _error(refiner, mixed.mean(1), images, tmp_path)
    assert _error(refiner, mixed, images, tmp_path) < 0.8 * averaged


def test_one_draw_in_a_burst_is_the_base_alone(refiner, tmp_path):
    coarse = _draws(_shades(5, 2), 1)
    alone, burst = (refiner(c, 8, _run(tmp_path)) for c in (coarse[:, 0], coarse))
    assert torch.equal(alone, burst)


def test_the_order_of_the_other_draws_does_not_matter(refiner, tmp_path):
    coarse = _draws(_shades(5, 2), 4)
    shuffled = coarse[:, [0, 3, 1, 2]]
    first, again = (refiner(c, 8, _run(tmp_path)) for c in (coarse, shuffled))
    assert torch.allclose(first, again, atol=1e-5)
    assert not torch.allclose(first, refiner(coarse.flip(1), 8, _run(tmp_path)), atol=0.05)


def test_a_burst_keeps_the_coarse_band_of_its_base(refiner, tmp_path):
    projected = Burst(build(Burst.Config, {"width": 16, "depth": 1, "consistency": "project"}))
    projected.load_state_dict(refiner.state_dict())
    coarse = _draws(_shades(5, 2), 3)
    images = projected(coarse, 8, _run(tmp_path))
    assert torch.allclose(BlockMeans(1, 0)(images, torch.Generator()), coarse[:, 0], atol=1e-5)


def test_training_bursts_show_the_same_or_other_images_and_vary_in_length():
    network, generator = BurstFusion(1, 8, 1, 2, draws=3), torch.Generator().manual_seed(0)
    images = torch.arange(64.0)[:, None, None, None].expand(-1, 1, 2, 2)
    bursts = [network.degraded(images, BlockMeans(1, 0), generator) for _ in range(12)]
    assert {burst.shape[1] for burst in bursts} == {1, 2, 3}
    assert all(torch.equal(burst[:, 0, 0, 0, 0], torch.arange(64.0)) for burst in bursts)
    same = torch.cat([(burst[:, 1:] == burst[:, :1]).flatten() for burst in bursts]).float().mean()
    assert 0.4 < same < 0.62


def test_upsampling_kernels_are_weighted_means_that_depend_on_the_image():
    torch.manual_seed(0)
    up, x = AdaptiveUpsampling(4, 2), torch.rand(1, 4, 6, 6)
    upsampled = up(x)
    assert upsampled.shape == (1, 4, 12, 12)
    near = torch.nn.functional.max_pool2d(x, 3, 1, 1).repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert (upsampled <= near + 1e-6).all()
    assert not torch.allclose(up(2 * x), 2 * upsampled, atol=1e-3)


def test_a_width_that_the_gates_do_not_divide_raises_an_error():
    with pytest.raises(ConfigError, match="width = 10 must be a multiple of 4"):
        build(Burst.Config, {"width": 10})
