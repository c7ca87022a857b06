"""A small convolutional network that hardly increases the distance between two images: nearly 1-Lipschitz."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Slope of the activation for negative numbers; with 0, all units of so small a network can die."""


class LipschitzNet(nn.Module):
    """Convolutions of operator norm about 1 at most and leaky ReLU between them: ‖f(x) - f(y)‖ is hardly above ‖x - y‖.

    The norms are estimated from below, so the bound is not exact.

    Args:
        channels: image channels.
        width: channels between the convolutions.
        depth: number of convolutions.
        size: (height, width) of the images; the operator norm depends on it.
    """

    def __init__(self, channels: int, width: int, depth: int, size: tuple[int, int]):
        super().__init__()
        sizes = [channels, *[width] * (depth - 1), channels]
        self.layers = nn.ModuleList(LipschitzConvolution(i, o, size) for i, o in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """[1, channels, h, w] -> [1, channels, h, w]."""
        *hidden, last = self.layers
        for layer in hidden:
            x = F.leaky_relu(layer(x), SLOPE)
        result: Tensor = last(x)
        return result


class LipschitzConvolution(nn.Module):
    """A 3x3 convolution whose weights are divided by its operator norm if this norm is above 1.

    The norm is that of the zero-padded convolution, not of the weights as a matrix. Each call improves its estimate by
    one step of power iteration (real spectral normalisation, arXiv 1905.05406).
    """

    right: Tensor

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("right", torch.randn(1, inputs, *size))
        nn.init.orthogonal_(self.weight)
        for _ in range(20):
            self.norm()

    def norm(self) -> Tensor:
        """The operator norm, after one step of power iteration."""
        with torch.no_grad():
            left = F.conv2d(self.right, self.weight, padding=1)
            back = F.conv_transpose2d(left, self.weight, padding=1)
            self.right.copy_(back / back.norm().clamp_min(1e-12))
        return F.conv2d(self.right, self.weight, padding=1).norm()

    def forward(self, x: Tensor) -> Tensor:
        """[b, inputs, h, w] -> [b, outputs, h, w]."""
        return F.conv2d(x, self.weight / self.norm().clamp_min(1), self.bias, padding=1)
