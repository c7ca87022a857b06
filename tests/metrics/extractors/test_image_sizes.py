"""Resizing, channels and ranges: what networks for photographs get to see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cleanfid.resize import build_resizer, make_resizer

from dpbench.core.errors import DataError
from dpbench.metrics.extractors.images import at_least, coloured, resized, standardised


def harsh(size: int) -> torch.Tensor:
    """Black and white pixels side by side, which bicubic filters overshoot: uint8 [3, 3, size, size]."""
    return 255 * torch.randint(2, (3, 3, size, size), generator=torch.Generator().manual_seed(size)).to(torch.uint8)


@pytest.mark.parametrize("size", [28, 32, 64, 299, 350])
def test_resizing_to_299_is_that_of_clean_fid(size: int) -> None:
    images = harsh(size)
    theirs = np.stack([build_resizer("clean")(image.permute(1, 2, 0).numpy()) for image in images])
    ours = resized(images.float(), 299).permute(0, 2, 3, 1).numpy()
    assert ours.min() == 0
    assert ours.max() == 255
    np.testing.assert_allclose(ours, theirs, atol=255 * 4e-5)


@pytest.mark.parametrize("size", [28, 32, 64, 300])
def test_resizing_to_other_sizes_is_that_of_pil(size: int) -> None:
    images = harsh(size)
    resize = make_resizer("PIL", False, "bicubic", (224, 224))
    theirs = np.stack([resize(image.permute(1, 2, 0).numpy()) for image in images])
    np.testing.assert_allclose(resized(images.float(), 224).permute(0, 2, 3, 1), theirs, atol=255 * 4e-5)


def test_only_images_that_are_too_small_are_enlarged() -> None:
    large, small = torch.rand(1, 3, 70, 70), torch.rand(1, 3, 28, 28)
    assert at_least(large, 64) is large
    assert at_least(small, 64).shape == (1, 3, 64, 64)


def test_grey_images_become_three_equal_channels(noise) -> None:
    grey = noise(2, 1)
    assert torch.equal(coloured(grey), grey.float().repeat(1, 3, 1, 1))


@pytest.mark.parametrize(
    "images",
    [
        torch.rand(2, 3, 32, 32),
        torch.zeros(2, 3, 32, 32, dtype=torch.int64),
        torch.zeros(2, 4, 8, 8, dtype=torch.uint8),
    ],
    ids=["floats in [0, 1]", "integers of another type", "four channels"],
)
def test_anything_but_bytes_of_one_or_three_channels_is_refused(images: torch.Tensor) -> None:
    with pytest.raises(DataError, match="uint8 images from 0 to 255"):
        coloured(images)


def test_standardised_pixels_are_those_of_torchvision(noise) -> None:
    from torchvision.transforms.functional import normalize

    images, mean, deviation = noise(2, 3).float(), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    torch.testing.assert_close(standardised(images, mean, deviation), normalize(images / 255, mean, deviation))
