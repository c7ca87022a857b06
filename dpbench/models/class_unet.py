"""diffusers' U-Nets with a new class embedder, for latent diffusion."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from dpbench.models.condition_unet import ConditionUNet

CLASSES = "classes.weight"
"""Name of the class embeddings; the last row is the null label."""


class ClassUNet(ConditionUNet):
    """F(x, time step, label), with the shape of x; labels are int64 [b].

    Args:
        unet: a network of diffusers.
        labels: number of label values; the last one is the null label.
        known: embeddings of the classes that the network was trained on, the null class last, [k + 1, d].

    Attributes:
        classes: the class embedder.
    """

    def __init__(self, unet: nn.Module, labels: int, known: Tensor):
        super().__init__(unet)
        self.classes = nn.Embedding(labels, known.shape[1])
        self.known = known

    @property
    def null(self) -> int:
        """The null label."""
        return self.classes.num_embeddings - 1

    @property
    def embedder(self) -> nn.Module:
        """See `ConditionUNet`: the class embedder."""
        return self.classes

    def published_state(self) -> dict[str, Tensor]:
        """See `ConditionUNet`: with the embeddings of the known classes."""
        return {**self.state_dict(), CLASSES: self.known}


class ContextUNet(ClassUNet):
    """A `UNet2DConditionModel`, whose cross-attention sees the class embedding as a context of one token."""

    def __init__(self, unet: Any, labels: int):
        super().__init__(unet, labels, torch.zeros(1, unet.config.cross_attention_dim))

    def forward(self, x: Tensor, time: Tensor | int, y: Tensor) -> Tensor:
        """See `ConditionUNet`."""
        output: Tensor = self.unet(x, time, encoder_hidden_states=self.classes(y)[:, None]).sample
        return output


class TimeUNet(ClassUNet):
    """A `UNet2DModel`, which adds the class embedding to the time step's embedding."""

    def __init__(self, unet: Any, labels: int):
        own, width = unet.class_embedding, unet.time_embedding.linear_2.out_features
        table = own.weight.detach() if isinstance(own, nn.Embedding) else torch.zeros(0, width)
        null = table.mean(0, keepdim=True) if len(table) else torch.zeros(1, width)
        super().__init__(unet, labels, torch.cat([table, null]))
        self.unet.class_embedding = nn.Identity()  # `classes` takes its place

    def forward(self, x: Tensor, time: Tensor | int, y: Tensor) -> Tensor:
        """See `ConditionUNet`."""
        output: Tensor = self.unet(x, time, class_labels=self.classes(y)).sample
        return output


def with_classes(unet: nn.Module, labels: int) -> ClassUNet:
    """The network with a new class embedder.

    Args:
        unet: a `UNet2DConditionModel` or `UNet2DModel`.
        labels: number of label values; the last one is the null label.
    """
    return (ContextUNet if isinstance(unet, UNet2DConditionModel) else TimeUNet)(unet, labels)
