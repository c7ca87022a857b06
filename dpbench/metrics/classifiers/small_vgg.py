"""A plain convolutional network with normalisation."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dpbench.metrics.classifiers.base import Classifier, Norm, conv, initialise


class SmallVGG(Classifier):
    """A strided stem and three 3 x 3 convolutions, the first two of them pooled, then the maximum over all positions.

    In the style of Simonyan and Zisserman (arXiv 1409.1556), with 24, 48, 96 and 128 channels.

    Args:
        channels: 1 or 3.
        n_classes: number of logits.
        norm: builds a normalisation layer.
        stride: stride of the stem.
    """

    smallest: ClassVar[int] = 8

    def __init__(self, channels: int, n_classes: int, norm: Norm, stride: int):
        super().__init__()
        self.layers = nn.Sequential(
            conv(channels, 24, stride + 2, stride), norm(24), nn.ReLU(),
            conv(24, 48), nn.MaxPool2d(2), norm(48), nn.ReLU(),
            conv(48, 96), nn.MaxPool2d(2), norm(96), nn.ReLU(),
            conv(96, 128), norm(128), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(128, n_classes)
        initialise(self, "fan_in")

    def features(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> [b, 128]."""
        return self.layers(x).amax((2, 3))
