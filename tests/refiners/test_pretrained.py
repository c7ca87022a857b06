from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_upscalers import NETWORKS, save_network
from torch import Tensor

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError, DataError, NotInstalled
from dpbench.core.refiner import block_means
from dpbench.core.registries import REFINERS
from dpbench.models.pretrained.finding import sha256
from dpbench.models.pretrained.super_resolvers import load_super_resolver
from dpbench.refiners.bicubic import Bicubic
from dpbench.refiners.networks.enlarging import enlarge
from dpbench.refiners.pretrained import Pretrained

REAL = "RealESRGAN_x4plus.safetensors"


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path))


def _refiner(path: Path | str, **settings: object) -> Pretrained:
    plugin = REFINERS.get("pretrained")
    return plugin(build(plugin.Config, {"weights": str(path), **settings}))


def _images(channels: int, side: int, count: int = 1) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "size"), [(1, 2), (5, 20), (4, 32), (7, 20)])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_gives_the_size_that_is_asked_for(tmp_path, run, name, side, size, channels):
    images = _refiner(save_network(tmp_path / "a.safetensors", name))(_images(channels, side, 2), size, run)
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1


def test_image_of_the_network_is_returned(tmp_path, run):
    path, coarse = save_network(tmp_path / "a.pth"), _images(3, 6)
    expected = load_super_resolver(path)((coarse + 1) / 2) * 2 - 1
    assert torch.allclose(_refiner(path)(coarse, 24, run), expected, atol=1e-6)


def test_factor_of_eight_is_the_network_twice_and_half_the_size(tmp_path, run):
    path, coarse = save_network(tmp_path / "a.pth"), _images(3, 4)
    network = load_super_resolver(path)
    twice = network(network((coarse + 1) / 2)) * 2 - 1
    half = torch.nn.functional.interpolate(twice, scale_factor=0.5, mode="bicubic", antialias=True)
    assert torch.allclose(_refiner(path)(coarse, 32, run), half, atol=1e-5)


def test_grey_image_is_the_mean_of_the_colours_that_the_network_makes_of_it(tmp_path, run):
    refiner, coarse = _refiner(save_network(tmp_path / "a.pth")), _images(1, 4)
    colours = refiner(coarse.expand(-1, 3, -1, -1), 16, run)
    assert torch.allclose(refiner(coarse, 16, run), colours.mean(1, keepdim=True), atol=1e-6)


def test_colour_image_in_a_grey_network_is_refined_channel_by_channel(tmp_path, run):
    refiner, coarse = _refiner(save_network(tmp_path / "a.pth", "esrgan-grey")), _images(3, 4, 2)
    alone = torch.cat([refiner(channel, 16, run) for channel in coarse.split(1, 1)], 1)
    assert torch.allclose(refiner(coarse, 16, run), alone, atol=1e-6)


def test_values_outside_the_range_are_clamped(tmp_path, run):
    refiner, coarse = _refiner(save_network(tmp_path / "a.pth")), _images(3, 4)
    assert torch.equal(refiner(coarse * 9, 16, run), refiner((coarse * 9).clamp(-1, 1), 16, run))


def test_tiles_agree_with_the_whole_image(tmp_path, run):
    path, coarse = save_network(tmp_path / "a.pth"), _images(3, 45)
    whole = _refiner(path)(coarse, 180, run)
    assert torch.allclose(_refiner(path, tile=20, overlap=16)(coarse, 180, run), whole, atol=1e-5)
    seams = (_refiner(path, tile=20, overlap=0)(coarse, 180, run) - whole).abs().amax((0, 1))
    assert seams[78:82].max() > 100 * seams[30:40, 30:40].max()  # far from the seam, an overlap changes nothing


def test_a_call_never_sees_many_more_pixels_than_a_tile_has(tmp_path, run, monkeypatch):
    refiner, seen = _refiner(save_network(tmp_path / "a.pth"), tile=8, overlap=2), []
    network = refiner.network(run)
    monkeypatch.setattr(network, "_call_fn", lambda model, x: seen.append(x[:, 0].numel()) or model(x))
    for coarse in (_images(3, 30), _images(3, 4, 9)):
        refiner(coarse, 4 * coarse.shape[-1], run)
    assert max(seen) == 12 * 12
    assert seen[-3:] == [64, 64, 16]


def test_smaller_size_is_refused(tmp_path, run):
    with pytest.raises(ConfigError, match="does not reduce images from 8 to 4 pixels"):
        _refiner(save_network(tmp_path / "a.pth"))(_images(3, 8), 4, run)


def test_network_that_does_not_enlarge_is_refused():
    with pytest.raises(ConfigError, match="makes images of 4 pixels from 4; choose one that enlarges"):
        enlarge(_images(3, 4), 8, lambda images: images)


def test_nan_in_a_coarse_image_is_one_line(tmp_path, run):
    with pytest.raises(DataError, match="coarse images contain NaN"):
        _refiner(save_network(tmp_path / "a.pth"))(_images(3, 4) * torch.nan, 16, run)


def test_weights_are_named_and_hashed_before_they_are_loaded(tmp_path):
    path = save_network(tmp_path / "a.pth")
    config = _refiner(path).config
    assert Pretrained.weights_of(config) == {"a.pth": sha256(path)[:12]}
    assert Pretrained.track_of(config) == "foundation"


def test_weights_are_found_in_the_weights_folder(empty_caches, tmp_path, run):
    folder = tmp_path / "DPBENCH_WEIGHTS"
    folder.mkdir()
    save_network(folder / "mine.safetensors")
    assert _refiner("mine.safetensors")(_images(3, 4), 8, run).shape == (1, 3, 8, 8)


def test_missing_weights_are_one_line():
    with pytest.raises(NotInstalled, match="run `dpbench weights get realesrgan-x4plus`"):
        Pretrained.weights_of(build(Pretrained.Config, {}))
    with pytest.raises(NotInstalled, match=r"there are no weights 'mine\.pth'; give a name that"):
        Pretrained.weights_of(build(Pretrained.Config, {"weights": "mine.pth"}))


def test_saved_model_does_not_take_other_weights(tmp_path, run):
    path = save_network(tmp_path / "a.safetensors")
    refiner = _refiner(path)
    assert refiner.state_dict() == {}
    refiner(_images(3, 4), 8, run)
    state = refiner.state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == 32
    assert refiner.parameters() == sum(p.numel() for p in NETWORKS["esrgan-x4"]().parameters())
    restored = _refiner(path)
    restored.load_state_dict(state)
    _refiner(path).load_state_dict(restored.state_dict())  # saved again before it refines
    save_network(path, "esrgan-x2")
    with pytest.raises(DataError, match=r"'a\.safetensors' are not those that the model was saved with"):
        _refiner(path).load_state_dict(state)


@pytest.fixture
def real() -> str:
    """The real weights, where the machine has them."""
    folder = os.environ.get("DPBENCH_WEIGHTS", "")
    if not (Path(folder) / REAL).is_file():
        pytest.skip(f"there is no {REAL} in DPBENCH_WEIGHTS")
    return str(Path(folder) / REAL)


@pytest.fixture
def photograph() -> Tensor:
    """The middle of a photograph: float [1, 3, 256, 256] in [-1, 1]."""
    folder = os.environ.get("DPBENCH_TEST_DATA")
    if not folder:
        pytest.skip("DPBENCH_TEST_DATA names no folder of real data")
    for path in sorted(Path(folder, "coco").rglob("*.jpg")):
        with Image.open(path) as picture:
            x, y = (side // 2 - 128 for side in picture.size)
            crop = picture.convert("RGB").crop((x, y, x + 256, y + 256))
        return torch.from_numpy(np.array(crop)).permute(2, 0, 1)[None] / 127.5 - 1
    pytest.skip(f"{folder} has no COCO photographs")


def _detail(images: Tensor) -> Tensor:
    """The root mean square of differences between neighbours."""
    return (images.diff(dim=-1)).square().mean().sqrt()


@pytest.mark.slow
def test_real_weights_sharpen_a_photograph_and_keep_its_coarse_band(real, photograph, run):
    coarse = block_means(photograph, 4)
    images = _refiner(real)(coarse, 256, run)
    interpolated = Bicubic(build(Bicubic.Config, {}))(coarse, 256, run)
    assert _detail(images) > 1.15 * _detail(interpolated)
    assert (block_means(images, 4) - coarse).square().mean().sqrt() < 0.1  # images are in [-1, 1]
    exact = _refiner(real, consistency="project")(coarse, 256, run)
    assert (block_means(exact, 4) - coarse).abs().max() < 1e-5
    assert _detail(exact) > 1.15 * _detail(interpolated)


@pytest.mark.slow
def test_real_weights_in_tiles_agree_with_the_whole_photograph(real, photograph, run):
    coarse = block_means(photograph, 4)
    whole = _refiner(real)(coarse, 256, run)
    tiles = _refiner(real, tile=32, overlap=16)(coarse, 256, run)
    assert (tiles - whole).square().mean().sqrt() < 0.02
