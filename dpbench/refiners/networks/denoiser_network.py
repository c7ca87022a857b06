"""Base of the refiners' diffusion models: an EDM denoiser of images of any size."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.models.edm import Denoiser, NoiseConfig, SamplerConfig
from dpbench.models.unet import UNet
from dpbench.models.unet_config import UNetConfig
from dpbench.refiners.networks.network_inputs import image_noise, padded
from dpbench.refiners.networks.training import RefinerNetwork


class DenoiserNetwork(RefinerNetwork):
    """A refiner's diffusion model, with or without a conditioning image.

    The network is convolutional, so it also works for images of other sizes than the training images.

    Args:
        channels: image channels.
        scale: see `RefinerNetwork`.
        sizes: sizes of the U-Net.
        noise: distribution of the training noise levels.
        sampler: settings of the sampler.
        conditional: whether the U-Net sees a conditioning image, with as many channels as the image.
        sigma_data: standard deviation of the denoised data.
    """

    def __init__(
        self,
        channels: int,
        scale: int,
        sizes: UNetConfig,
        noise: NoiseConfig,
        sampler: SamplerConfig,
        *,
        conditional: bool = True,
        sigma_data: float = 0.5,
    ):
        super().__init__(channels, scale)
        shape = (channels, sizes.divisor, sizes.divisor)
        network = UNet(shape, 1, sizes, conditioning_channels=channels if conditional else 0)
        self.denoiser = Denoiser(network, shape, null=0, sigma_data=sigma_data)
        self.divisor = sizes.divisor
        self.noise = noise
        self.sampler = sampler

    def denoising_loss(self, images: Tensor, generator: torch.Generator, conditioning: Tensor | None = None) -> Tensor:
        """The denoiser's loss averaged over a batch of images [b, c, h, w]."""
        conditioning = None if conditioning is None else padded(conditioning, self.divisor)
        images = padded(images, self.divisor)
        return self.denoiser.loss(images, self.labels(images), generator, self.noise, conditioning=conditioning).mean()

    def sample(self, conditioning: Tensor, run: RunContext, near: Tensor | None = None) -> Tensor:
        """One sample per conditioning image, [b, c, h, w]; no sample depends on the others.

        Args:
            conditioning: [b, c, h, w].
            run: its generator draws the noise.
            near: images that the noise is added to at the start, [b, c, h, w]; None starts from noise alone.
        """
        whole, (h, w) = padded(conditioning, self.divisor), conditioning.shape[-2:]
        starts = image_noise(whole, run.generator)
        if near is not None:
            starts = starts + padded(near, self.divisor) / self.sampler.sigma_max
        with run.autocast():
            return self.denoiser.denoise(starts, self.labels(whole), self.sampler, whole)[..., :h, :w]

    def labels(self, images: Tensor) -> Tensor:
        """The null label of each image: [b]."""
        return torch.full((len(images),), self.denoiser.null, device=images.device)
