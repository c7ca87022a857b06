"""Fusion of several coarse draws of one condition around the first one (after QMambaBSR, arXiv 2408.08665)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.config import option
from dpbench.core.errors import ConfigError
from dpbench.refiners.trained import TrainedRefiner, TrainingConfig

if TYPE_CHECKING:
    from dpbench.refiners.networks.burst_fusion import BurstFusion


@dataclass(frozen=True)
class BurstConfig(TrainingConfig):
    """Settings of the burst refiner."""

    steps: int = option(700, "public training steps", low=1)
    width: int = option(48, "channels of the network, a multiple of 4", low=4)
    depth: int = option(4, "residual blocks after the fusion, at the coarse size", low=1)
    draws: int = option(4, "coarse images per full image; the first is refined, the others may help", low=1)

    def __post_init__(self) -> None:
        if self.width % 4:
            raise ConfigError(f"width = {self.width} must be a multiple of 4, the number of gates per pixel")


class Burst(TrainedRefiner[BurstConfig]):
    """Several coarse draws, fused around the first one by gates and upsampled by kernels that depend on the image.

    The draws of a private coarse stage may show other objects of one class. In training, a draw is therefore either the
    same public image with fresh corruption or another public image, and the gates learn to tell them apart.
    """

    Config = BurstConfig
    paper = "arXiv 2408.08665"
    name = "burst"

    @property
    def draws(self) -> int:
        """See `Refiner.draws`."""
        return self.config.draws

    def network(self, channels: int, scale: int) -> BurstFusion:
        """See `TrainedRefiner.network`."""
        from dpbench.refiners.networks.burst_fusion import BurstFusion

        return BurstFusion(channels, self.config.width, self.config.depth, scale, self.config.draws)
