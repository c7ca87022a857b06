"""The U-Net of the diffusion models: diffusers' `UNet2DModel` on pixel patches, with noise level and label inputs."""

from __future__ import annotations

import math
from typing import Any, cast

from diffusers import UNet2DModel
from torch import Tensor, nn

from dpbench.models.unet_config import HEAD, UNetConfig


class UNet(nn.Module):
    """F(x, noise level, label), with the shape of an image.

    Its trained layers are linear, convolutional, group normalisation and embedding layers. The first dimension of every
    layer's input is the batch, so per-example gradients are well defined.

    Args:
        shape: (channels, height, width) of an image.
        labels: number of label values.
        config: sizes of the network.
        conditioning_channels: input channels of a conditioning image, concatenated after those of the image.

    Raises:
        ConfigError: the sizes do not divide the image.
    """

    def __init__(self, shape: tuple[int, int, int], labels: int, config: UNetConfig, conditioning_channels: int = 0):
        super().__init__()
        levels, area = len(config.channels), config.patch**2
        config.check_divides(shape[1])
        kinds = ["AttnDownBlock2D" if level >= levels - config.attention else "DownBlock2D" for level in range(levels)]
        network = UNet2DModel(
            sample_size=shape[1] // config.patch,
            in_channels=(shape[0] + conditioning_channels) * area,
            out_channels=shape[0] * area,
            down_block_types=tuple(kinds),
            up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(kinds)),
            block_out_channels=config.channels,
            layers_per_block=config.layers,
            attention_head_dim=HEAD,
            add_attention=config.attention > 0,
            norm_num_groups=math.gcd(32, *(c // 4 for c in config.channels)),  # at least four channels per group
            num_class_embeds=labels,
        )
        self.unet = cast(Any, network)  # the type checker does not know that its base class is a module
        if config.checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.to_patches = nn.PixelUnshuffle(config.patch)
        self.to_pixels = nn.PixelShuffle(config.patch)

    def forward(self, x: Tensor, noise_level: Tensor, labels: Tensor) -> Tensor:
        """[b, c + conditioning_channels, h, w], float [b], int64 [b] -> [b, c, h, w]."""
        return self.to_pixels(self.unet(self.to_patches(x), noise_level, labels).sample)
