"""Diffusion of the residual between an image and its upsampled coarse base (after MSF, arXiv 2501.13349)."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.models.edm import NoiseConfig, SamplerConfig
from dpbench.models.unet_config import UNetConfig
from dpbench.refiners.networks.denoiser_network import DenoiserNetwork
from dpbench.refiners.networks.network_inputs import upsampled


class ResidualDiffusion(DenoiserNetwork):
    """Samples images given their coarse versions, as base + deviation · residual with the residual from diffusion.

    The base is the bicubic interpolation of the coarse image.

    Args:
        channels: image channels.
        scale: see `RefinerNetwork`.
        sizes: sizes of the U-Net.
        noise: distribution of the training noise levels.
        sampler: settings of the sampler.

    Attributes:
        deviation: standard deviation of the residuals of public images, a scalar.
    """

    deviation: Tensor

    def __init__(self, channels: int, scale: int, sizes: UNetConfig, noise: NoiseConfig, sampler: SamplerConfig):
        super().__init__(channels, scale, sizes, noise, sampler, sigma_data=1.0)
        self.register_buffer("deviation", torch.tensor(1.0))

    def measure(self, images: Tensor, coarse: Tensor) -> None:
        """Sets `deviation`; see `RefinerNetwork.measure`."""
        self.deviation.copy_((images - upsampled(coarse, self.scale)).std())

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The denoiser's loss on residuals; see `RefinerNetwork.loss`."""
        base = upsampled(coarse, self.scale)
        return self.denoising_loss((images - base) / self.deviation, generator, base)

    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """See `RefinerNetwork.refine`."""
        base = upsampled(coarse, self.scale)
        return base + self.deviation * self.sample(base, run)
