"""Diffusion of the residual between an image and its upsampled coarse base (after MSF, arXiv 2501.13349).

The base contains the known part of the image, so the diffusion model only samples the residual. The residual has little
large-scale structure and needs few sampling steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from dpbench.core.config import option
from dpbench.refiners.denoising import DenoisingConfig
from dpbench.refiners.trained import TrainedRefiner

if TYPE_CHECKING:
    from dpbench.refiners.networks.residual_diffusion import ResidualDiffusion


@dataclass(frozen=True)
class ResidualConfig(DenoisingConfig):
    """Settings of the residual refiner."""

    sampling: ClassVar[tuple[str, ...]] = ("sampler", *DenoisingConfig.sampling)

    steps: int = option(1100, "public training steps", low=1)
    p_mean: float = option(
        0.0, "mean of ln σ for the training noise levels, for residuals of unit deviation", low=-10, high=10
    )
    p_std: float = option(1.4, "standard deviation of ln σ for the training noise levels", above=0, high=10)
    sigma_max: float = option(80.0, "largest noise level; strokes have residuals of many standard deviations", above=0)
    sampler: Literal["ddim", "dpm-solver"] = option("dpm-solver", "solver of the sampling equation")


class Residual(TrainedRefiner[ResidualConfig]):
    """Diffusion of the residual to bicubic interpolation, trained on public images: sharp, random, few steps."""

    Config = ResidualConfig
    paper = "arXiv 2501.13349"
    name = "residual"
    measured = 1000  # to estimate the standard deviation of residuals

    def network(self, channels: int, scale: int) -> ResidualDiffusion:
        """See `TrainedRefiner.network`."""
        from dpbench.refiners.networks.residual_diffusion import ResidualDiffusion

        c = self.config
        return ResidualDiffusion(channels, scale, c.unet, c.noise, c.sampler_with(c.sampler))
