"""The corruption for training a refiner that is used without a private coarse stage."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.refiner import Degrade
from dpbench.models.haar import coarse


class BlockMeans(Degrade):
    """The mean of each block of 2^levels x 2^levels pixels (the Haar LL band in pixel units), plus Gaussian noise.

    Generated coarse images differ from those computed from photographs. A refiner trained on clean images only would
    add detail to every flaw.

    Args:
        levels: number of Haar levels between the full and the coarse image.
        noise: standard deviation of the Gaussian noise, for images in [-1, 1].
    """

    def __init__(self, levels: int, noise: float):
        self.levels = levels
        self.noise = noise
        self.key = {"block means": levels, "noise": noise}

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """See `Degrade`."""
        clean = coarse(images, self.levels)
        return clean + self.noise * torch.randn(clean.shape, generator=generator).to(clean)
