"""Orientation of the bars in generated images, for the datasets of `conftest`."""

from __future__ import annotations

from torch import Tensor


def share_horizontal(images: Tensor) -> float:
    """Share of images [b, 1, h, w] with a horizontal bar: row means vary more than column means."""
    pixels = images.float().squeeze(1)
    return (pixels.mean(2).var(1) > pixels.mean(1).var(1)).float().mean().item()
