import pytest
import pywt
import torch

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError, DataError
from dpbench.core.refiner import Refiner, RefinerSettings, with_coarse_band


class Noise(Refiner):
    def refine(self, coarse, size, run):
        return torch.rand(len(coarse), coarse.shape[-3], size, size, generator=run.generator) * 2 - 1


def _run(tmp_path) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path))


def _refined(coarse: torch.Tensor, size: int, tmp_path, **settings: object) -> torch.Tensor:
    return Noise(build(RefinerSettings, settings))(coarse, size, _run(tmp_path))


def _bands(images: torch.Tensor, levels: int) -> tuple[torch.Tensor, list]:
    low, *details = pywt.wavedec2(images.numpy(), "haar", level=levels)
    return torch.tensor(low) / 2**levels, details


@pytest.mark.parametrize(
    ("settings", "share"),
    [({}, 0.0), ({"consistency": "project"}, 1.0), ({"consistency": "blend", "blend": 0.25}, 0.25)],
)
def test_consistency_puts_back_a_share_of_the_coarse_band_and_keeps_every_detail(settings, share, tmp_path):
    coarse = torch.rand(2, 3, 4, 4) * 2 - 1
    plain, images = _refined(coarse, 16, tmp_path), _refined(coarse, 16, tmp_path, **settings)
    (low, details), (low_plain, details_plain) = _bands(images, 2), _bands(plain, 2)
    assert torch.allclose(low, share * coarse + (1 - share) * low_plain, atol=1e-5)
    for found, expected in zip(details, details_plain, strict=True):
        for band, band_plain in zip(found, expected, strict=True):
            assert torch.allclose(torch.tensor(band), torch.tensor(band_plain), atol=1e-5)


def test_the_projection_is_the_nearest_image_with_that_coarse_band():
    images, coarse = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 2, 2)
    nearest = with_coarse_band(images, coarse)
    other = with_coarse_band(torch.rand(1, 1, 8, 8), coarse)
    assert torch.allclose((images - nearest).flatten() @ (other - nearest).flatten(), torch.tensor(0.0), atol=1e-5)


def test_the_first_draw_gives_the_coarse_band(tmp_path):
    draws = torch.rand(2, 3, 1, 4, 4)
    images = _refined(draws, 8, tmp_path, consistency="project")
    assert torch.allclose(torch.nn.functional.avg_pool2d(images, 2), draws[:, 0], atol=1e-6)


@pytest.mark.parametrize(("draws", "seen"), [(1, (2, 3, 4, 4)), (5, (2, 5, 3, 4, 4))])
def test_a_refiner_with_one_draw_sees_the_first_of_several(draws, seen, tmp_path, monkeypatch):
    shapes = []

    def refine(self, coarse, size, run):
        shapes.append(coarse.shape)
        return torch.zeros(2, 3, size, size)

    monkeypatch.setattr(Noise, "refine", refine)
    monkeypatch.setattr(Noise, "draws", draws)
    _refined(torch.rand(2, 5, 3, 4, 4), 8, tmp_path)
    assert shapes == [seen]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_coarse_images_that_are_not_finite_are_refused(value, tmp_path):
    coarse = torch.zeros(2, 1, 4, 4)
    coarse[1, 0, 2, 2] = value
    with pytest.raises(DataError, match="NaN or infinite"):
        _refined(coarse, 16, tmp_path)


def test_a_size_that_is_no_multiple_is_refused_only_where_the_band_is_put_back(tmp_path):
    assert _refined(torch.zeros(1, 1, 4, 4), 10, tmp_path).shape[-1] == 10
    with pytest.raises(ConfigError, match="4 pixels do not divide 10"):
        _refined(torch.zeros(1, 1, 4, 4), 10, tmp_path, consistency="project")


def test_settings_of_another_kind_are_refused():
    with pytest.raises(TypeError, match=r"Odd\.Config must inherit dpbench\.RefinerSettings"):

        class Odd(Refiner):
            Config = object
