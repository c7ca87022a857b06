"""A small convolutional super-resolver (sub-pixel convolution, arXiv 1609.05158)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.models.residual_block import ResidualBlock
from dpbench.refiners.halved_width import check_width
from dpbench.refiners.networks.network_inputs import upsampled
from dpbench.refiners.networks.training import RefinerNetwork


class SubPixelNet(RefinerNetwork):
    """Residual blocks at the coarse size and one pixel shuffle per factor of two, added to the bicubic image.

    Args:
        channels: image channels.
        width: channels of the blocks, a multiple of `scale`.
        depth: number of blocks.
        scale: see `RefinerNetwork`; a power of two.

    Raises:
        ConfigError: see `pixel_shuffles`.
    """

    def __init__(self, channels: int, width: int, depth: int, scale: int):
        super().__init__(channels, scale)
        doublings = int(math.log2(scale))
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), *(ResidualBlock(width) for _ in range(depth))
        )
        self.up = pixel_shuffles(width, doublings, channels)

    def forward(self, coarse: Tensor) -> Tensor:
        """[b, c, h, w] -> [b, c, scale · h, scale · w]."""
        return upsampled(coarse, self.scale) + self.up(self.trunk(coarse))

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """Mean absolute error over pixels; see `RefinerNetwork.loss`."""
        return F.l1_loss(self(coarse), images)

    @torch.inference_mode()
    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """See `RefinerNetwork.refine`; deterministic."""
        return self(coarse)


def pixel_shuffles(width: int, doublings: int, channels: int) -> nn.Sequential:
    """Upsampling by 2^doublings with sub-pixel convolutions, each of which halves the width.

    [b, width, h, w] -> [b, channels, 2^doublings · h, 2^doublings · w].

    Raises:
        ConfigError: the width cannot be halved so often.
    """
    check_width(width, 2**doublings)
    up = nn.Sequential()
    for _ in range(doublings):
        up.extend([nn.Conv2d(width, 2 * width, 3, padding=1), nn.PixelShuffle(2), nn.GELU()])
        width //= 2
    return up.append(nn.Conv2d(width, channels, 3, padding=1))
