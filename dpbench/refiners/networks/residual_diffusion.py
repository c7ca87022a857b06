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
    """The distribution of images given their coarse version: base + deviation · residual, the residual by diffusion.

    Convolutional, so it may be used on images of another size than those it was trained on.

    Args:
        channels: of an image.
        scale: see `RefinerNetwork`.
        sizes: of the U-Net.
        noise: noise levels that training visits.
        sampler: how residuals are drawn.

    Attributes:
        deviation: standard deviation of the residuals of public images.
    """

    deviation: Tensor

    def __init__(self, channels: int, scale: int, sizes: UNetConfig, noise: NoiseConfig, sampler: SamplerConfig):
        super().__init__()
        side = sizes.divisor
        network = UNet((channels, side, side), 1, sizes, given=channels)
        self.denoiser = Denoiser(network, (channels, side, side), n_classes=0, sigma_data=1.0)
        self.divisor = sizes.divisor
        self.noise = noise
        self.sampler = sampler
        self.scale = scale
        self.register_buffer("factor", torch.tensor(scale))  # restored models read it
        self.register_buffer("deviation", torch.tensor(1.0))

    def base(self, coarse: Tensor) -> Tensor:
        """[b, c, h, w] -> [b, c, scale · h, scale · w], bicubic."""
        return F.interpolate(coarse, scale_factor=self.scale, mode="bicubic", align_corners=False)

    def measure(self, images: Tensor, coarse: Tensor) -> None:
        """Measures the deviation of residuals."""
        self.deviation.copy_((images - self.base(coarse)).std())

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The denoiser's loss, averaged over the batch."""
        base = self.base(coarse)
        residual, given = self._whole((images - base) / self.deviation), self._whole(base)
        return self.denoiser.loss(residual, self._labels(images), generator, self.noise, given=given).mean()

    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """See `RefinerNetwork.refine`. Each image's noise is drawn on its own, in order, whatever the batch."""
        base = self.base(coarse)
        given = self._whole(base)
        noise = torch.stack([torch.randn(given.shape[1:], generator=run.generator) for _ in range(len(given))])
        with run.autocast():
            residual = self.denoiser.denoise(noise.to(given), self._labels(given), self.sampler, given)
        return base + self.deviation * residual[..., : base.shape[-2], : base.shape[-1]]

    def _whole(self, images: Tensor) -> Tensor:
        """The images, their last row and column repeated until the U-Net's patches and levels divide them."""
        down, right = (-side % self.divisor for side in images.shape[-2:])
        return F.pad(images, (0, right, 0, down), mode="replicate")

    def _labels(self, images: Tensor) -> Tensor:
        return torch.full((len(images),), self.denoiser.null, device=images.device)
