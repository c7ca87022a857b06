"""A small residual network that trains quickly."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from dpbench.metrics.classifiers.base import Classifier, Norm, conv, initialise


class SmallResNet(Classifier):
    """A strided stem and three pooled stages, two of which end in a residual, then the maximum over all positions.

    In the style of the ResNet-9 of Page (How to train your ResNet, 2018), with 16, 32, 64 and 128 channels.

    Args:
        channels: 1 or 3.
        n_classes: number of logits.
        norm: builds a normalisation layer.
        stride: stride of the stem.
    """

    smallest: ClassVar[int] = 16

    def __init__(self, channels: int, n_classes: int, norm: Norm, stride: int):
        super().__init__()
        self.layers = nn.Sequential(
            conv(channels, 16, stride + 2, stride), norm(16), nn.ReLU(),
            conv(16, 32), nn.MaxPool2d(2), norm(32), nn.ReLU(),
            conv(32, 64), nn.MaxPool2d(2), norm(64), nn.ReLU(), _Residual(norm, 64),
            conv(64, 128), nn.MaxPool2d(2), norm(128), nn.ReLU(), _Residual(norm, 128),
        )  # fmt: skip
        self.head = nn.Linear(128, n_classes)
        initialise(self, "fan_in")

    def features(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> [b, 128]."""
        return self.layers(x).amax((2, 3))


class _Residual(nn.Module):
    """x + relu(norm(conv(x)))."""

    def __init__(self, norm: Norm, channels: int):
        super().__init__()
        self.conv, self.norm = conv(channels, channels), norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.norm(self.conv(x)))
