"""diffusers' U-Nets with a class embedder of our own, for latent diffusion."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from itertools import chain
from typing import Any, cast

import torch
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
        known: embeddings of the classes that the network was trained on, the null class last, [k + 1, d].

    Attributes:
        classes: the class embedder.
    """

    def __init__(self, unet: nn.Module, labels: int, known: Tensor):
        super().__init__()
        self.unet = cast(Any, unet)
        self.classes = nn.Embedding(labels, known.shape[1])
        self.known = known

    @property
    def null(self) -> int:
        """The null label."""
        return self.classes.num_embeddings - 1

    @property
    def factor(self) -> int:
        """The height and width of x must be multiples of this number."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))

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

    def __init__(self, unet: Any, labels: int):
        super().__init__(unet, labels, torch.zeros(1, unet.config.cross_attention_dim))

    def forward(self, x: Tensor, time: Tensor | int, labels: Tensor) -> Tensor:
        """See `ClassUNet`."""
        output: Tensor = self.unet(x, time, encoder_hidden_states=self.classes(labels)[:, None]).sample
        return output


class TimeUNet(ClassUNet):
    """A `UNet2DModel`, which adds the class embedding to that of the time step."""

    def __init__(self, unet: Any, labels: int):
        own, width = unet.class_embedding, unet.time_embedding.linear_2.out_features
        table = own.weight.detach() if isinstance(own, nn.Embedding) else torch.zeros(0, width)
        null = table.mean(0, keepdim=True) if len(table) else torch.zeros(1, width)
        super().__init__(unet, labels, torch.cat([table, null]))
        self.unet.class_embedding = nn.Identity()  # `classes` takes its place

    def forward(self, x: Tensor, time: Tensor | int, labels: Tensor) -> Tensor:
        """See `ClassUNet`."""
        output: Tensor = self.unet(x, time, class_labels=self.classes(labels)).sample
        return output


def with_classes(unet: nn.Module, labels: int) -> ClassUNet:
    """The network with a new class embedder.

    Args:
        unet: a `UNet2DConditionModel` or `UNet2DModel`.
        labels: number of label values; the last one is the null label.
    """
    return (ContextUNet if isinstance(unet, UNet2DConditionModel) else TimeUNet)(unet, labels)


def condition_unet(channels: int, side: int, config: UNetConfig, width: int) -> nn.Module:
    """An untrained `UNet2DConditionModel` with spatial transformers at the coarsest levels and in the middle.

    Args:
        channels: channels of a latent.
        side: height and width of a latent.
        config: sizes of the network; its `patch` is 1.
        width: size of a class embedding.
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
    return cast(nn.Module, unet)
