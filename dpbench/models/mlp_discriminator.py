"""A small fully connected discriminator with a projection of the label (Miyato and Koyama, arXiv 1802.05637)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Of the leaky ReLU for negative values."""


class MLPDiscriminator(nn.Module):
    """Two hidden layers of all pixels; cheap enough to train hundreds of them.

    Args:
        shape: (channels, height, width) of an image.
        labels: number of labels; 1 without classes.
        width: units of each hidden layer.
    """

    def __init__(self, shape: tuple[int, int, int], labels: int, width: int):
        super().__init__()
        self.first = nn.Linear(math.prod(shape), width)
        self.second = nn.Linear(width, width)
        self.end = nn.Linear(width, 1)
        self.embedding = nn.Embedding(labels, width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1], int64 [b] -> scores [b], high for real images of that label."""
        features = F.leaky_relu(self.first(images.flatten(1)), SLOPE)
        features = F.leaky_relu(self.second(features), SLOPE)
        return (self.end(features)[:, 0] + (self.embedding(labels) * features).sum(1)).float()
