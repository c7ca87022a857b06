"""Diffusion of the residual between an image and its upsampled coarse base (after MSF, arXiv 2501.13349).

The base contains the known part of the image, so the diffusion model only samples the residual. The residual has little
large-scale structure and needs few sampling steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from dpbench.core.config import option
from dpbench.core.errors import ConfigError
from dpbench.models.unet_config import UNetConfig
from dpbench.refiners.trained import TrainedRefiner, TrainingConfig

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.refiners.networks.residual_diffusion import ResidualDiffusion


@dataclass(frozen=True)
class ResidualConfig(TrainingConfig):
    """Settings of the residual refiner."""

    sampling: ClassVar[tuple[str, ...]] = ("sampler", "sampling_steps", "sigma_min", "sigma_max")

    steps: int = option(1100, "public training steps", low=1)
    batch: int = option(32, "public images per step", low=1)
    ema: float | None = option(
        0.995, "decay of the exponential moving average of the weights; none disables it", low=0, below=1
    )
    channels: tuple[int, ...] = option((32, 32, 64), "channels of the U-Net's levels, finest first", low=1)
    layers: int = option(1, "residual blocks per level of the U-Net", low=1)
    patch: int = option(2, "side of the pixel patches folded into the U-Net's input channels", low=1)
    p_mean: float = option(
        0.0, "mean of ln σ for the training noise levels, for residuals of unit deviation", low=-10, high=10
    )
    p_std: float = option(1.4, "standard deviation of ln σ for the training noise levels", above=0, high=10)
    sampler: Literal["ddim", "dpm-solver"] = option("dpm-solver", "solver of the sampling equation")
    sampling_steps: int = option(5, "network evaluations per image", low=1)
    sigma_min: float = option(0.1, "smallest noise level; short training leaves noise at smaller ones", above=0)
    sigma_max: float = option(80.0, "largest noise level; strokes have residuals of many deviations", above=0)

    def __post_init__(self) -> None:
        if self.sigma_min >= self.sigma_max:
            raise ConfigError(f"sigma_min = {self.sigma_min:g} must be below sigma_max = {self.sigma_max:g}")
        _ = self.unet  # the constructor checks the sizes

    @property
    def unet(self) -> UNetConfig:
        """Sizes of the U-Net."""
        return UNetConfig(self.channels, self.layers, attention=0, patch=self.patch)


class Residual(TrainedRefiner[ResidualConfig]):
    """Diffusion of the residual to bicubic interpolation, trained on public images: sharp, random, few steps."""

    Config = ResidualConfig
    paper = "arXiv 2501.13349"
    name = "residual"
    measured = 1000  # to estimate the standard deviation of residuals

    def network(self, channels: int, scale: int) -> ResidualDiffusion:
        """See `TrainedRefiner.network`."""
        from dpbench.models.edm import NoiseConfig, SamplerConfig
        from dpbench.refiners.networks.residual_diffusion import ResidualDiffusion

        c = self.config
        noise = NoiseConfig(c.p_mean, c.p_std)
        sampler = SamplerConfig(c.sampler, c.sampling_steps, c.sigma_min, sigma_max=c.sigma_max)
        return ResidualDiffusion(channels, scale, c.unet, noise, sampler)

    def sizes(self, state: Mapping[str, Tensor]) -> tuple[int, int]:
        """See `TrainedRefiner.sizes`."""
        channels = state["denoiser.network.unet.conv_out.bias"].shape[0] // self.config.patch**2
        return channels, int(state["factor"])
