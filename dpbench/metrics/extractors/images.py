"""Input preparation for networks for photographs: three channels, resized as in clean-fid."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dpbench.core.errors import DataError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pixels in [0, 1], per channel."""

RESIZING = "bicubic antialiased float clipped"
"""How `resized` is named in the descriptions of extractors."""


def coloured(images: Tensor) -> Tensor:
    """uint8 [b, 1 or 3, h, w] -> float32 [b, 3, h, w] in [0, 255]; grey is repeated.

    Raises:
        DataError: another dtype, number of dimensions or number of channels.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"extractors need uint8 images from 0 to 255 with 1 or 3 channels, not {images.dtype} of shape "
            f"{list(images.shape)}"
        )
    return images.expand(-1, 3, -1, -1).float()


def resized(images: Tensor, size: int) -> Tensor:
    """[b, c, h, w] in [0, 255] -> [b, c, size, size] in [0, 255], resized like PIL does with each channel in float.

    This is the "clean" mode of clean-fid (Parmar, Zhang, Zhu, arXiv 2104.11222), in batches and on any device: bicubic
    (a = -1/2), with antialiasing when shrinking, and without rounding to 8 bits.
    """
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)


def at_least(images: Tensor, size: int) -> Tensor:
    """Enlarges images below `size` to that size, and leaves others unchanged: [b, c, h, w] in [0, 255]."""
    return resized(images, max(size, images.shape[-1]))


def standardised(images: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """[b, c, h, w] in [0, 255] -> (images / 255 - mean) / deviation, per channel."""
    shift, scale = (torch.tensor(values, device=images.device)[:, None, None] for values in (mean, deviation))
    return (images / 255 - shift) / scale
