"""Inputs of the refiners' networks: upsampled coarse images, padded images, and noise drawn image by image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def upsampled(coarse: Tensor, scale: int) -> Tensor:
    """Bicubic interpolation: [b, c, h, w] -> [b, c, scale · h, scale · w]."""
    return F.interpolate(coarse, scale_factor=scale, mode="bicubic", align_corners=False)


def padded(images: Tensor, divisor: int) -> Tensor:
    """The images with their last row and column repeated until height and width are multiples of `divisor`."""
    down, right = (-side % divisor for side in images.shape[-2:])
    return F.pad(images, (0, right, 0, down), mode="replicate")


def image_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise [b, ...] of the shape of `like`, drawn image by image: no image depends on the others."""
    return torch.stack([torch.randn(like.shape[1:], generator=generator) for _ in range(len(like))]).to(like)
