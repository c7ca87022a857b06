"""A U-Net that draws an image and its edges in one step of diffusion (after DiffDIS, arXiv 2410.10105)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.models.residual_block import ResidualBlock
from dpbench.models.unet_config import HEAD, UNetConfig
from dpbench.refiners.networks.network_inputs import image_noise, padded, upsampled
from dpbench.refiners.networks.training import RefinerNetwork


class TwoTaskUNet(RefinerNetwork):
    """Denoises from the last time step, where the input is noise, straight to the image; the second task is its edges.

    The tasks share all weights except an embedding, and attend to each other at the coarsest level. The time step is
    always the same, so the network has no input for it.

    Args:
        channels: image channels.
        scale: see `RefinerNetwork`.
        sizes: sizes of the U-Net.
        edge_weight: weight of the edges' loss.
    """

    def __init__(self, channels: int, scale: int, sizes: UNetConfig, edge_weight: float):
        super().__init__(channels, scale)
        widths, area = sizes.channels, channels * sizes.patch**2
        self.divisor = sizes.divisor
        self.edge_weight = edge_weight
        self.to_patches, self.to_pixels = nn.PixelUnshuffle(sizes.patch), nn.PixelShuffle(sizes.patch)
        self.tasks = nn.Parameter(torch.randn(2, widths[0], 1, 1) / math.sqrt(widths[0]))
        self.first = nn.Conv2d(area, widths[0], 3, padding=1)
        self.injections = nn.ModuleList(Modulation(area * 4**level, width) for level, width in enumerate(widths))
        self.down = nn.ModuleList(_blocks(width, sizes.layers) for width in widths)
        self.narrower = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.attention = TaskAttention(widths[-1])
        self.wider = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_blocks(width, sizes.layers) for width in widths[:-1])
        self.last = nn.Conv2d(widths[0], area, 3, padding=1)

    def forward(self, noise: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """The images and their edges, each [b, c, h, w].

        Args:
            noise: standard normal, [b, c, h, w].
            base: upsampled coarse images, [b, c, h, w].
        """
        h, w = base.shape[-2:]
        conditioning = self.to_patches(padded(base, self.divisor))
        x = self.first(self.to_patches(padded(noise, self.divisor)))
        x = torch.cat([x + task for task in self.tasks])
        skips = []
        for level, (inject, blocks) in enumerate(zip(self.injections, self.down, strict=True)):
            if level:
                skips.append(x)
                x, conditioning = self.narrower[level - 1](x), F.pixel_unshuffle(conditioning, 2)
            x = blocks(inject(x, conditioning))
        x = self.attention(x)
        for wider, blocks in zip(reversed(self.wider), reversed(self.up), strict=True):
            x = blocks(wider(x) + skips.pop())
        image, edges = self.to_pixels(self.last(x))[..., :h, :w].chunk(2)
        return base + image, edges

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """Mean absolute error of the image plus that of its edges; see `RefinerNetwork.loss`."""
        noise = torch.randn(images.shape, generator=generator).to(images)
        image, edges = self(noise, upsampled(coarse, self.scale))
        return F.l1_loss(image, images) + self.edge_weight * F.l1_loss(edges, sobel(images))

    @torch.inference_mode()
    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """See `RefinerNetwork.refine`; the edges are not used."""
        base = upsampled(coarse, self.scale)
        with run.autocast():
            return self(image_noise(base, run.generator), base)[0].float()


class Modulation(nn.Module):
    """Scales and shifts features by a conditioning image; starts as the identity.

    Args:
        channels: channels of the conditioning.
        width: channels of the features.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.GELU())
        self.zero = nn.Conv2d(width, 2 * width, 1)
        for parameter in self.zero.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """[t · b, width, h, w] of t tasks, [b, channels, h, w] -> [t · b, width, h, w]."""
        tasks = len(x) // len(conditioning)
        scale, shift = self.zero(self.features(conditioning)).repeat(tasks, 1, 1, 1).chunk(2, dim=1)
        return x * (1 + scale) + shift


class TaskAttention(nn.Module):
    """Cross-attention of two tasks: each attends to the other's features and adds the result to its own."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, width // HEAD, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """[2 b, width, h, w], the first task's features before the second's -> the same shape."""
        own = self.norm(x.flatten(2).transpose(1, 2))
        other = own.roll(len(own) // 2, dims=0)
        asked, _ = self.attention(own, other, other, need_weights=False)
        return x + asked.transpose(1, 2).reshape(x.shape)


def sobel(images: Tensor) -> Tensor:
    """The Sobel magnitude of every channel, divided by the largest one of the image: [b, c, h, w] in [0, 1]."""
    smooth, slope = images.new_tensor([1, 2, 1]), images.new_tensor([-1, 0, 1])
    kernels = torch.stack([torch.outer(smooth, slope), torch.outer(slope, smooth)])[:, None]
    framed = F.pad(images.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    magnitude = F.conv2d(framed, kernels).norm(dim=1).reshape(images.shape)
    return magnitude / magnitude.amax((1, 2, 3), keepdim=True).clamp_min(1e-6)


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
