import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.refiner import Degrade
from dpbench.core.registries import REFINERS
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.models.image_range import to_unit


class Shrink(Degrade):
    key = "shrink"

    def __call__(self, images, generator):
        return F.avg_pool2d(images, 4)


def _stripes(seed: int) -> ArrayDataset:
    """Images with sharp vertical edges, which bicubic interpolation blurs and a trained network can restore."""
    edges = np.random.default_rng(seed).integers(2, 14, 200)
    images = np.where(np.arange(16) < edges[:, None], 255, 0).astype(np.uint8)
    images = np.broadcast_to(images[:, None, None, :], (200, 1, 16, 16)).copy()
    return ArrayDataset(DatasetSpec("stripes", 1, 16, 200, 0, None, True), images, None)


@pytest.fixture
def run(tmp_path) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path))


def _refined(name: str, run: RunContext, **settings: object) -> torch.Tensor:
    plugin = REFINERS.get(name)
    refiner = plugin(build(plugin.Config, settings))
    refiner.prepare(_stripes(0), Shrink(), run)
    images = to_unit(_stripes(1).batch(range(100)).images)
    return (refiner.refine(Shrink()(images, None), 16, run) - images).abs().mean()


def test_trained_refiner_beats_interpolation_on_new_images(run):
    learnt = _refined("regression", run, width=16, depth=2, steps=150, augmentation="none")
    assert learnt < 0.5 * _refined("bicubic", run)


def test_regression_refiner_is_cached(run):
    first = _refined("regression", run, width=8, depth=1, steps=3)
    assert torch.equal(first, _refined("regression", run, width=8, depth=1, steps=3))
    assert len(list(run.cache.folder.glob("regression-*.safetensors"))) == 1


def test_a_restored_network_has_the_sizes_of_the_stored_one(run):
    plugin = REFINERS.get("regression")
    first, restored = (plugin(build(plugin.Config, {"width": 8, "depth": 1, "steps": 1})) for _ in range(2))
    first.prepare(_stripes(0), Shrink(), run)
    restored.load_state_dict(first.state_dict())
    assert first.state_dict()["channels_and_scale"].tolist() == [1, 4]
    assert first.parameters() == sum(p.numel() for p in first._network.parameters())  # sizes are not weights
    coarse = torch.zeros(1, 1, 4, 4)
    assert torch.equal(restored.refine(coarse, 16, run), first.refine(coarse, 16, run))


def test_untrained_size_raises_an_error(run):
    plugin = REFINERS.get("regression")
    with pytest.raises(ConfigError, match="not trained for 4 -> 16"):
        plugin(build(plugin.Config, {})).refine(torch.zeros(1, 1, 4, 4), 16, run)


@pytest.mark.parametrize("name", ["regression", "adversarial", "sr-diffusion", "memory"])
@pytest.mark.parametrize(("width", "scale"), [(33, 2), (34, 4), (48, 32)])
def test_width_must_be_halved_at_each_doubling(name, width, scale):
    plugin = REFINERS.get(name)
    with pytest.raises(ConfigError, match=f"^width = {width} must be a multiple of {scale}, the upsampling factor$"):
        plugin(build(plugin.Config, {"width": width})).network(1, scale)
