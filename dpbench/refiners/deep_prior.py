"""Restoration without training data: non-local means and an untrained network (LRS-PnP-DIP, arXiv 2501.08195)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.refiner import Refiner, RefinerSettings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DeepPriorConfig(RefinerSettings):
    """Settings of the deep-prior refiner."""

    iterations: int = option(30, "maximum number of optimisation steps", low=1)
    fits: int = option(5, "optimiser steps of the untrained network per step", low=1)
    lr: float = option(2e-2, "learning rate of Adam for the untrained network", above=0, high=1)
    width: int = option(32, "channels of the untrained network", low=1)
    depth: int = option(4, "convolutions of the untrained network", low=2)
    patch: int = option(5, "side of the patches that non-local means compares, odd", low=1)
    window: int = option(14, "side of the window of non-local means", low=2)
    strength: float = option(0.1, "strength of non-local means, for images in [-1, 1]", above=0)
    trust: float = option(0.9, "share of the coarse image in the coarse band of each step", above=0, high=1)
    variances: int = option(5, "number of last outputs whose variance decides when to stop", low=2)
    patience: int = option(5, "steps without a smaller variance before the optimisation stops", low=1)

    def __post_init__(self) -> None:
        if self.patch % 2 == 0:
            raise ConfigError(f"patch = {self.patch} must be odd")


class DeepPrior(Refiner[DeepPriorConfig]):
    """Optimisation without training data: non-local means and an untrained network per image; very slow.

    It takes one to two seconds per image of 32 x 32 pixels on one core.
    """

    Config = DeepPriorConfig
    paper = "arXiv 2501.08195"
    uses_public = False

    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """See `Refiner.refine`. Images are optimised one by one.

        Raises:
            ConfigError: `size` is not a multiple of the coarse size.
        """
        import torch

        from dpbench.refiners.networks.untrained import restored

        if size % coarse.shape[-1]:
            raise ConfigError(f"the deep-prior refiner needs an integer scale, not {coarse.shape[-1]} -> {size} pixels")
        return torch.cat([restored(image, size, self.config) for image in coarse.split(1)]).clamp(-1, 1)
