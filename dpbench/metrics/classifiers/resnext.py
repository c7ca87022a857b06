"""Aggregated residual networks for small images (Xie, Girshick, Dollár, Tu, He: arXiv 1611.05431, section 5.3)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from dpbench.metrics.classifiers.base import Classifier, Norm, conv, initialise, stages

BASE = 64
"""Number of channels of the first convolution, and of one group in the first stage."""


class ResNeXt(Classifier):
    """Three stages of (depth - 2) // 9 bottlenecks, with 64, 128 and 256 times `widen` channels.

    A bottleneck's middle convolution has `cardinality` groups of 64, 128 or 256 channels: `depth` 29, `cardinality` 8
    and `widen` 4 are the paper's ResNeXt-29, 8 x 64d.

    Args:
        channels: 1 or 3.
        n_classes: number of logits.
        depth: 9 n + 2.
        cardinality: number of groups.
        widen: channels of a stage, relative to those of one of its groups.
        norm: builds a normalisation layer.
    """

    def __init__(self, channels: int, n_classes: int, depth: int, cardinality: int, widen: int, norm: Norm):
        super().__init__()
        widths = (BASE, BASE * widen, 2 * BASE * widen, 4 * BASE * widen)
        self.stem = nn.Sequential(conv(channels, BASE), norm(BASE), nn.ReLU())
        self.blocks = stages(partial(_Bottleneck, norm, cardinality, widen), widths, (depth - 2) // 9)
        self.head = nn.Linear(widths[-1], n_classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """[b, c, h, w] in [-1, 1] -> [b, 256 · widen]."""
        return self.blocks(self.stem(x)).mean((2, 3))


class _Bottleneck(nn.Module):
    """relu(x + expand(grouped(reduce(x)))), each a convolution with normalisation."""

    def __init__(self, norm: Norm, cardinality: int, widen: int, inputs: int, outputs: int, stride: int):
        super().__init__()
        inner = cardinality * outputs // widen
        self.residual = nn.Sequential(
            conv(inputs, inner, 1), norm(inner), nn.ReLU(),
            conv(inner, inner, 3, stride, groups=cardinality), norm(inner), nn.ReLU(),
            conv(inner, outputs, 1), norm(outputs),
        )  # fmt: skip
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Sequential(conv(inputs, outputs, 1, stride), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.residual(x))
