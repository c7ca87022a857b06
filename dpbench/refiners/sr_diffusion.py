"""A super-resolver's estimate refined by conditional diffusion of the image (cDPMSR, arXiv 2302.12831).

The estimate determines most of the image, and diffusion adds the detail that regression blurs. The paper samples with
40 to 100 deterministic DDIM steps from noise. The default is 5 steps from the estimate plus noise, for 100 images of 32
pixels per second on two cores. `sampling_steps` and `sigma_max` change that without new training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.config import option
from dpbench.refiners.denoising import DenoisingConfig
from dpbench.refiners.halved_width import check_width
from dpbench.refiners.trained import TrainedRefiner

if TYPE_CHECKING:
    from dpbench.refiners.networks.estimate_diffusion import EstimateDiffusion


@dataclass(frozen=True)
class SrDiffusionConfig(DenoisingConfig):
    """Settings of the sr-diffusion refiner."""

    steps: int = option(900, "public training steps", low=1)
    sigma_max: float = option(2.5, "noise added to the estimate at the start of sampling", above=0)
    width: int = option(32, "channels of the super-resolver's trunk, a multiple of the upsampling factor", low=1)
    depth: int = option(4, "residual blocks of the super-resolver at the coarse size", low=1)

    def check_scale(self, scale: int) -> None:
        """See `RefinerSettings.check_scale`; the width is halved at each doubling."""
        check_width(self.width, scale)


class SrDiffusion(TrainedRefiner[SrDiffusionConfig]):
    """Diffusion of the image given a super-resolver's estimate, trained on public images: sharp, random."""

    Config = SrDiffusionConfig
    paper = "arXiv 2302.12831"
    name = "sr-diffusion"

    def network(self, channels: int, scale: int) -> EstimateDiffusion:
        """See `TrainedRefiner.network`."""
        from dpbench.refiners.networks.estimate_diffusion import EstimateDiffusion

        c = self.config
        return EstimateDiffusion(channels, scale, c.unet, c.noise, c.sampler_with("ddim"), c.width, c.depth)
