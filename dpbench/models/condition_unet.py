"""Base of the U-Nets of latent diffusion, and an untrained one with cross-attention."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from itertools import chain
from typing import Any, cast

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from dpbench.models.unet_config import HEAD, UNetConfig


class ConditionUNet(ABC, nn.Module):
    """F(x, time step, y), with the shape of x: a diffusers network with a new embedder for the condition y.

    Its trained layers are linear, convolutional, normalisation and embedding layers with the batch in the first
    dimension, so per-example gradients are well defined.

    Args:
        unet: a network of diffusers.
    """

    def __init__(self, unet: nn.Module):
        super().__init__()
        self.unet = cast(Any, unet)

    @property
    @abstractmethod
    def null(self) -> int:
        """The value of y that stands for no condition."""

    @property
    @abstractmethod
    def embedder(self) -> nn.Module:
        """The module that turns y into vectors."""

    @abstractmethod
    def published_state(self) -> dict[str, Tensor]:
        """The weights that the network came with, in the form of `state_dict()`."""

    @property
    def attention(self) -> list[nn.Module]:
        """The attention blocks in the order in which they run."""
        blocks = chain(self.unet.down_blocks, [self.unet.mid_block], self.unet.up_blocks)
        return [attention for block in blocks for attention in getattr(block, "attentions", ())]

    @abstractmethod
    def forward(self, x: Tensor, time: Tensor | int, y: Tensor) -> Tensor:
        """[b, c, h, w], [b] or one time step for all, y [b, ...] -> [b, c, h, w]."""


def condition_unet(channels: int, side: int, config: UNetConfig, width: int) -> nn.Module:
    """An untrained `UNet2DConditionModel` with spatial transformers at the coarsest levels and in the middle.

    Args:
        channels: channels of its input and output.
        side: their height and width.
        config: sizes of the network; its `patch` is left to the caller.
        width: size of a vector that cross-attention sees.
    """
    levels = len(config.channels)
    kinds = ["CrossAttnDownBlock2D" if k >= levels - config.attention else "DownBlock2D" for k in range(levels)]
    unet: Any = UNet2DConditionModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        down_block_types=tuple(kinds),
        up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(kinds)),
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        cross_attention_dim=width,
        attention_head_dim=tuple(c // HEAD for c in config.channels),  # diffusers' name for the number of heads
        norm_num_groups=math.gcd(32, *(c // 4 for c in config.channels)),  # at least four channels per group
    )
    if config.checkpointing:
        unet.enable_gradient_checkpointing()
    return cast(nn.Module, unet)
