"""What generated images look like, for tests on the bars of `conftest`."""

from __future__ import annotations

from torch import Tensor


def share_lying(images: Tensor) -> float:
    """Share of images [b, 1, h, w] whose bar lies: their rows differ more than their columns."""
    pixels = images.float().squeeze(1)
    return (pixels.mean(2).var(1) > pixels.mean(1).var(1)).float().mean().item()
