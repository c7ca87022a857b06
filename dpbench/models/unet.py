"""The U-Net of the diffusion models: diffusers' `UNet2DModel` on pixel patches, given a noise level and a label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

from diffusers import UNet2DModel
from torch import Tensor, nn

from dpbench.core.errors import ConfigError

HEAD = 8
"""Channels of one attention head."""


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a `UNet`.

    Attributes:
        channels: of each level, the finest first; multiples of 8. Each level halves the size.
        layers: residual blocks per level on the way down (one more on the way up).
        attention: how many of the coarsest levels have self-attention.
        patch: side of the pixel patches that the finest level sees as channels; 1 for single pixels.
        checkpointing: recompute activations in the backward pass: less memory, a third more time.

    Raises:
        ConfigError: the sizes do not fit together.
    """

    channels: tuple[int, ...] = (32, 64)
    layers: int = 1
    attention: int = 1
    patch: int = 1
    checkpointing: bool = False

    def __post_init__(self) -> None:
        levels = len(self.channels)
        if not self.channels or any(c <= 0 or c % HEAD for c in self.channels):
            raise ConfigError(f"channels must be positive multiples of {HEAD}, not {self.channels}")
        if self.patch < 1 or self.layers < 1 or not 0 <= self.attention <= levels:
            raise ConfigError(f"patch and layers must be at least 1, attention between 0 and the {levels} levels")

    @property
    def divisor(self) -> int:
        """What height and width of an image must be multiples of."""
        return self.patch * 2 ** (len(self.channels) - 1)


class UNet(nn.Module):
    """F(x, noise level, label) of the shape of an image.

    Its trained layers are linear, convolutional, group normalisation and embedding, and each of them sees the whole
    batch in its first dimension, so that per-example gradients are well defined.

    Args:
        shape: (channels, height, width) of an image.
        labels: number of label values.
        config: sizes.
        given: channels of the input, behind the image's, that are not to be put out again.

    Raises:
        ConfigError: the sizes do not divide the image.
    """

    def __init__(self, shape: tuple[int, int, int], labels: int, config: UNetConfig, given: int = 0):
        super().__init__()
        levels, area = len(config.channels), config.patch**2
        if shape[1] % config.divisor:
            raise ConfigError(
                f"patch {config.patch} and {levels} levels do not divide {shape[1]} pixels; choose a resolution that "
                f"is a multiple of {config.divisor}, or set a smaller patch or fewer channels"
            )
        kinds = ["AttnDownBlock2D" if level >= levels - config.attention else "DownBlock2D" for level in range(levels)]
        network = UNet2DModel(
            sample_size=shape[1] // config.patch,
            in_channels=(shape[0] + given) * area,
            out_channels=shape[0] * area,
            down_block_types=tuple(kinds),
            up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(kinds)),
            block_out_channels=config.channels,
            layers_per_block=config.layers,
            attention_head_dim=HEAD,
            add_attention=config.attention > 0,
            norm_num_groups=math.gcd(32, *(c // 4 for c in config.channels)),  # at least four channels a group
            num_class_embeds=labels,
        )
        self.unet = cast(Any, network)  # its base class is no module to a type checker
        if config.checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.to_patches = nn.PixelUnshuffle(config.patch)
        self.to_pixels = nn.PixelShuffle(config.patch)

    def forward(self, x: Tensor, noise_level: Tensor, labels: Tensor) -> Tensor:
        """[b, c + given, h, w], float [b], int64 [b] -> [b, c, h, w]."""
        return self.to_pixels(self.unet(self.to_patches(x), noise_level, labels).sample)
