"""The autoencoder of latent diffusion: images <-> small latents, by diffusers' `AutoencoderKL` or `VQModel`."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

ENCODED = 2**20
"""Pixels encoded at once. Bounds the memory of encoding."""


def kl_autoencoder(image_channels: int, latent_channels: int, channels: tuple[int, ...]) -> nn.Module:
    """An untrained `AutoencoderKL` with one residual block per level; each level after the first halves the side.

    Args:
        image_channels: 1 or 3.
        latent_channels: channels of a latent.
        channels: channels of the levels, finest first.
    """
    levels = len(channels)
    network = AutoencoderKL(
        in_channels=image_channels,
        out_channels=image_channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=channels,
        latent_channels=latent_channels,
        norm_num_groups=math.gcd(32, *(c // 2 for c in channels)),  # at least two channels per group
        scaling_factor=1.0,
    )
    return cast(nn.Module, network)  # the type checker does not know that it is a module


class Autoencoder(nn.Module):
    """Images in [-1, 1] <-> latents whose channels have mean 0 and standard deviation 1 over the measured images.

    A network for colour images gets a grey image in all three channels; its output channels are averaged.

    Args:
        network: an `AutoencoderKL` or `VQModel`; its configuration holds the initial shift and scale.
        image_channels: channels of the images, 1 or 3.

    Attributes:
        shift, scale: [latent channels, 1, 1]; a latent is (the network's latent - shift) · scale.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, network: Any, image_channels: int):
        super().__init__()
        self.network = network
        self._image_channels = image_channels
        shift, scale = getattr(network.config, "shift_factor", None) or 0.0, network.config.scaling_factor
        self.register_buffer("shift", torch.full((self.latent_channels, 1, 1), float(shift)))
        self.register_buffer("scale", torch.full((self.latent_channels, 1, 1), float(scale)))

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return int(self.network.config.latent_channels)

    @property
    def factor(self) -> int:
        """Pixels of an image per position of a latent, along one side."""
        return int(2 ** (len(self.network.config.block_out_channels) - 1))

    def encode(self, images: Tensor) -> Tensor:
        """Float [b, c, h, w] in [-1, 1] -> [b, latent channels, h / factor, w / factor], without random draws."""
        rows = max(1, ENCODED // (images.shape[2] * images.shape[3]))
        return torch.cat([self._encoded(part) for part in images.split(rows)])

    def _encoded(self, images: Tensor) -> Tensor:
        encoded = self.network.encode(self._as_inputs(images))
        latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        return (latents.float() - self.shift) * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """The inverse of `encode`, nominally in [-1, 1]."""
        return self._as_images(self.network.decode(latents / self.scale + self.shift).sample.float())

    def loss(self, images: Tensor, kl: float) -> Tensor:
        """Mean absolute error of the reconstruction plus `kl` times the divergence per image from the standard normal.

        Args:
            images: float [b, c, h, w] in [-1, 1].
            kl: weight of the divergence.
        """
        posterior = self.network.encode(self._as_inputs(images)).latent_dist
        made = self._as_images(self.network.decode(posterior.sample()).sample)
        return F.l1_loss(made.float(), images) + kl * posterior.kl().mean()

    @torch.no_grad()
    def measure(self, images: Tensor) -> None:
        """Sets `shift` and `scale` from images, float [b, c, h, w] in [-1, 1]."""
        latents = self.encode(images) / self.scale + self.shift
        deviation, mean = torch.std_mean(latents, dim=(0, 2, 3))
        self.shift.copy_(mean[:, None, None])
        self.scale.copy_(1 / deviation.clamp_min(1e-6)[:, None, None])

    def _as_inputs(self, images: Tensor) -> Tensor:
        channels = int(self.network.config.in_channels)
        return images.expand(-1, channels, -1, -1) if self._image_channels < channels else images

    def _as_images(self, outputs: Tensor) -> Tensor:
        return outputs.mean(1, keepdim=True) if self._image_channels < outputs.shape[1] else outputs
