"""diffusers' U-Nets with a class embedder of our own, for latent diffusion."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from itertools import chain
from typing import Any, cast

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from dpbench.models.unet_config import HEAD, UNetConfig


class ClassUNet(ABC, nn.Module):
    """F(x, time step, label), with the shape of x.

    Its trained layers are linear, convolutional, normalisation and embedding layers with the batch in the first
    dimension, so per-example gradients are well defined.

    Args:
        unet: a network of diffusers.
        labels: number of label values; the last one is the null label.
        width: size of a label's embedding.

    Attributes:
        classes: the class embedder.
    """

    def __init__(self, unet: nn.Module, labels: int, width: int):
        super().__init__()
        self.unet = cast(Any, unet)
        self.classes = nn.Embedding(labels, width)

    @property
    def null(self) -> int:
        """The null label."""
        return self.classes.num_embeddings - 1

    @property
    def attention(self) -> list[nn.Module]:
        """The attention blocks in the order in which they run."""
        blocks = chain(self.unet.down_blocks, [self.unet.mid_block], self.unet.up_blocks)
        return [attention for block in blocks for attention in getattr(block, "attentions", ())]

    @abstractmethod
    def forward(self, x: Tensor, time: Tensor | int, labels: Tensor) -> Tensor:
        """[b, c, h, w], int64 [b] or one time step for all, int64 [b] -> [b, c, h, w]."""


class ContextUNet(ClassUNet):
    """A `UNet2DConditionModel`, whose cross-attention sees the class embedding as a context of one token."""

    def forward(self, x: Tensor, time: Tensor | int, labels: Tensor) -> Tensor:
        """See `ClassUNet`."""
        output: Tensor = self.unet(x, time, encoder_hidden_states=self.classes(labels)[:, None]).sample
        return output


class TimeUNet(ClassUNet):
    """A `UNet2DModel`, which adds the class embedding to that of the time step."""

    def __init__(self, unet: nn.Module, labels: int, width: int):
        super().__init__(unet, labels, width)
        self.unet.class_embedding = nn.Identity()  # `classes` takes its place

    def forward(self, x: Tensor, time: Tensor | int, labels: Tensor) -> Tensor:
        """See `ClassUNet`."""
        output: Tensor = self.unet(x, time, class_labels=self.classes(labels)).sample
        return output


def context_unet(channels: int, side: int, labels: int, config: UNetConfig, width: int) -> ContextUNet:
    """An untrained network with spatial transformers at the coarsest levels and in the middle.

    Args:
        channels: channels of a latent.
        side: height and width of a latent.
        labels: number of label values.
        config: sizes of the network; its `patch` is 1.
        width: size of a label's embedding.
    """
    levels = len(config.channels)
    kinds = ["CrossAttnDownBlock2D" if k >= levels - config.attention else "DownBlock2D" for k in range(levels)]
    unet = UNet2DConditionModel(
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
        cast(Any, unet).enable_gradient_checkpointing()
    return ContextUNet(cast(nn.Module, unet), labels, width)
