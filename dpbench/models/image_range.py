"""The two ranges of images: uint8 in [0, 255], as stored, and float in [-1, 1], as networks see them."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.specs import Batch


def to_unit(images: Tensor) -> Tensor:
    """uint8 [0, 255] -> float [-1, 1]."""
    return images.float() / 127.5 - 1


def unit_images(batch: Batch) -> Tensor:
    """The uint8 images of a batch as float [b, c, h, w] in [-1, 1]; the batch must have images."""
    assert batch.images is not None
    return to_unit(batch.images)


def to_uint8(images: Tensor) -> Tensor:
    """float, nominally in [-1, 1] -> uint8 [0, 255], clamped and rounded."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
