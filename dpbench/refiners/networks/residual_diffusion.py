"""Diffusion of the residual between an image and its upsampled coarse base (after MSF, arXiv 2501.13349)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.models.edm import Denoiser, NoiseConfig, SamplerConfig
from dpbench.models.unet import UNet
from dpbench.models.unet_config import UNetConfig
from dpbench.refiners.networks.training import RefinerNetwork


class ResidualDiffusion(RefinerNetwork):
    """Samples images given their coarse versions, as base + deviation · residual with the residual from diffusion.

    The network is convolutional, so it also works for images of other sizes than the training images.

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
        super().__init__()
        side = sizes.divisor
        network = UNet((channels, side, side), 1, sizes, conditioning_channels=channels)
        self.denoiser = Denoiser(network, (channels, side, side), n_classes=0, sigma_data=1.0)
        self.divisor = sizes.divisor
        self.noise = noise
        self.sampler = sampler
        self.scale = scale
        self.register_buffer("factor", torch.tensor(scale))  # read when a model is restored
        self.register_buffer("deviation", torch.tensor(1.0))

    def base(self, coarse: Tensor) -> Tensor:
        """Bicubic interpolation: [b, c, h, w] -> [b, c, scale · h, scale · w]."""
        return F.interpolate(coarse, scale_factor=self.scale, mode="bicubic", align_corners=False)

    def measure(self, images: Tensor, coarse: Tensor) -> None:
        """Sets `deviation`; see `RefinerNetwork.measure`."""
        self.deviation.copy_((images - self.base(coarse)).std())

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The denoiser's loss averaged over the batch; see `RefinerNetwork.loss`."""
        base = self.base(coarse)
        residual, conditioning = self._whole((images - base) / self.deviation), self._whole(base)
        return self.denoiser.loss(
            residual, self._labels(images), generator, self.noise, conditioning=conditioning
        ).mean()

    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """See `RefinerNetwork.refine`. Noise is drawn image by image, so results do not depend on the batch size."""
        base = self.base(coarse)
        conditioning = self._whole(base)
        noise = torch.stack(
            [torch.randn(conditioning.shape[1:], generator=run.generator) for _ in range(len(conditioning))]
        )
        with run.autocast():
            residual = self.denoiser.denoise(
                noise.to(conditioning), self._labels(conditioning), self.sampler, conditioning
            )
        return base + self.deviation * residual[..., : base.shape[-2], : base.shape[-1]]

    def _whole(self, images: Tensor) -> Tensor:
        """The images padded by replicating the last row and column to a multiple of the U-Net's divisor."""
        down, right = (-side % self.divisor for side in images.shape[-2:])
        return F.pad(images, (0, right, 0, down), mode="replicate")

    def _labels(self, images: Tensor) -> Tensor:
        return torch.full((len(images),), self.denoiser.null, device=images.device)
