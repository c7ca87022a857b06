"""One step of diffusion from noise to the image, with its edges as a second task (after DiffDIS, arXiv 2410.10105).

The losses are mean absolute errors, so the coarse image determines nearly all of the result, whatever the noise. The
edges are a target in training only; they make the network sensitive to where intensities change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.config import option
from dpbench.models.unet_config import UNetConfig
from dpbench.refiners.trained import TrainedRefiner, TrainingConfig

if TYPE_CHECKING:
    from dpbench.refiners.networks.two_task_unet import TwoTaskUNet


@dataclass(frozen=True)
class OneStepConfig(TrainingConfig):
    """Settings of the one-step refiner."""

    steps: int = option(1000, "public training steps", low=1)
    batch: int = option(32, "public images per step", low=1)
    channels: tuple[int, ...] = option((32, 48, 64), "channels of the U-Net's levels, finest first", low=1)
    layers: int = option(1, "residual blocks per level of the U-Net", low=1)
    patch: int = option(2, "side of the pixel patches folded into the U-Net's input channels", low=1)
    edge_weight: float = option(0.5, "weight of the edges' loss", low=0)

    def __post_init__(self) -> None:
        _ = self.unet  # the constructor checks the sizes

    @property
    def unet(self) -> UNetConfig:
        """Sizes of the U-Net."""
        return UNetConfig(self.channels, self.layers, attention=1, patch=self.patch)


class OneStep(TrainedRefiner[OneStepConfig]):
    """One step from noise to the image with edges as a second task, trained on public images: fast, blurry."""

    Config = OneStepConfig
    paper = "arXiv 2410.10105"
    name = "one-step"

    def network(self, channels: int, scale: int) -> TwoTaskUNet:
        """See `TrainedRefiner.network`."""
        from dpbench.refiners.networks.two_task_unet import TwoTaskUNet

        return TwoTaskUNet(channels, scale, self.config.unet, self.config.edge_weight)
