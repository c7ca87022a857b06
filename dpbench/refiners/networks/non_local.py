"""Comparison of each patch of an image with the patches around it, and non-local means."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor


def window(reach: int) -> list[tuple[int, int]]:
    """(row, column) offsets of the (2 reach + 1)² positions around a position, itself included, row by row."""
    offsets = range(-reach, reach + 1)
    return list(product(offsets, offsets))


def patch_distances(images: Tensor, patch: int, reach: int) -> Tensor:
    """Mean squared differences between each patch and the patches at the offsets of `window(reach)`.

    Args:
        images: [b, c, h, w].
        patch: side of a patch.
        reach: largest offset in rows and columns.

    Returns:
        [b, (2 reach + 1)², h - patch + 1, w - patch + 1]; infinite where a patch leaves the image.
    """
    h, w = images.shape[-2:]
    padded = F.pad(images, (reach,) * 4, value=torch.inf)
    shifted = (padded[..., reach + y : reach + y + h, reach + x : reach + x + w] for y, x in window(reach))
    return torch.cat([F.avg_pool2d((images - s).square().mean(1, keepdim=True), patch, 1) for s in shifted], dim=1)


def non_local_means(images: Tensor, patch: int, reach: int, strength: float) -> Tensor:
    """Each pixel becomes the mean of the pixels around it, weighted by exp(-distance / strength²) of their patches.

    Args:
        images: [b, c, h, w].
        patch: side of the compared patches, odd.
        reach: largest offset in rows and columns.
        strength: root mean square difference of patches that still count, in units of pixels.
    """
    h, w = images.shape[-2:]
    bordered = F.pad(images, (patch // 2,) * 4, mode="replicate")
    weights = (-patch_distances(bordered, patch, reach) / strength**2).softmax(1)
    padded = F.pad(images, (reach,) * 4)
    shifted = (padded[..., reach + y : reach + y + h, reach + x : reach + x + w] for y, x in window(reach))
    total = torch.zeros_like(images)
    for weight, pixels in zip(weights.split(1, dim=1), shifted, strict=True):
        total += weight * pixels
    return total
