"""A small convolutional super-resolver with an L1 loss on public images (sub-pixel convolution, arXiv 1609.05158)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.config import option
from dpbench.refiners.halved_width import check_width
from dpbench.refiners.trained import TrainedRefiner, TrainingConfig

if TYPE_CHECKING:
    from dpbench.refiners.networks.sub_pixel import SubPixelNet


@dataclass(frozen=True)
class RegressionConfig(TrainingConfig):
    """Settings of the regression refiner."""

    steps: int = option(800, "public training steps", low=1)
    width: int = option(64, "channels of the convolutional trunk, a multiple of the upsampling factor", low=1)
    depth: int = option(4, "residual blocks at the coarse size", low=1)

    def check_scale(self, scale: int) -> None:
        """See `RefinerSettings.check_scale`; the width is halved at each doubling."""
        check_width(self.width, scale)


class Regression(TrainedRefiner[RegressionConfig]):
    """Convolutional super-resolution with an L1 loss, trained on public images: fast, deterministic, blurry."""

    Config = RegressionConfig
    paper = "arXiv 1609.05158"
    name = "regression"

    def network(self, channels: int, scale: int) -> SubPixelNet:
        """See `TrainedRefiner.network`."""
        from dpbench.refiners.networks.sub_pixel import SubPixelNet

        return SubPixelNet(channels, self.config.width, self.config.depth, scale)
