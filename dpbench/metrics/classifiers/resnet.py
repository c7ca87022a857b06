"""Residual networks for small images (He, Zhang, Ren, Sun: arXiv 1512.03385, section 4.2)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from dpbench.metrics.classifiers.base import Classifier, Norm, conv, initialise, stages


class ResNet(Classifier):
    """Three stages of (depth - 2) / 6 blocks of two convolutions, with 16, 32 and 64 channels.

    If shapes differ, the shortcut is a 1 x 1 convolution; the paper pads with zeros, later code uses a convolution.

    Args:
        channels: 1 or 3.
        n_classes: number of logits.
        depth: 6 n + 2.
        norm: builds a normalisation layer.
    """

    def __init__(self, channels: int, n_classes: int, depth: int, norm: Norm):
        super().__init__()
        self.stem = nn.Sequential(conv(channels, 16), norm(16), nn.ReLU())
        self.blocks = stages(partial(_Block, norm), (16, 16, 32, 64), (depth - 2) // 6)
        self.head = nn.Linear(64, n_classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> [b, 64]."""
        return self.blocks(self.stem(x)).mean((2, 3))


class _Block(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x))))))."""

    def __init__(self, norm: Norm, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.residual = nn.Sequential(
            conv(inputs, outputs, 3, stride), norm(outputs), nn.ReLU(), conv(outputs, outputs), norm(outputs)
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(conv(inputs, outputs, 1, stride), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.residual(x))
