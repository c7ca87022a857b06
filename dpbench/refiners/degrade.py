"""The corruption that a refiner undoes where it stands alone, without a private coarse stage in front of it."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.refiner import Degrade
from dpbench.models.haar import coarse


class BlockMeans(Degrade):
    """Each block of 2^levels x 2^levels pixels becomes its mean (the Haar LL band in pixel units), with a little noise.

    Coarse images that somebody made lie off those that are computed from photographs; a refiner that has only seen
    clean ones would draw detail for every flaw.

    Args:
        levels: Haar levels between the full and the coarse image.
        noise: standard deviation of the added Gaussian noise, images being in [-1, 1].
    """

    def __init__(self, levels: int, noise: float):
        self.levels = levels
        self.noise = noise
        self.key = {"block means": levels, "noise": noise}

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """See `Degrade`."""
        clean = coarse(images, self.levels)
        return clean + self.noise * torch.randn(clean.shape, generator=generator).to(clean)
