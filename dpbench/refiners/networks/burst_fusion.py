"""Base-query fusion of several coarse images, and adaptive upsampling (after QMambaBSR, arXiv 2408.08665)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.core.refiner import Degrade
from dpbench.models.residual_block import ResidualBlock
from dpbench.refiners.networks.training import RefinerNetwork

HEADS = 4
"""Gates per pixel; each serves an equal share of the channels."""

TAPS = 3
"""Side of the upsampling kernels, in coarse pixels."""


class BurstFusion(RefinerNetwork):
    """Features of several coarse images, fused around those of the first one, and upsampled.

    The paper's state-space layers are left out: a gate per pixel compares the first image with each other one.

    Args:
        channels: image channels.
        width: channels of the features, a multiple of `HEADS`.
        depth: residual blocks after the fusion.
        scale: see `RefinerNetwork`.
        draws: largest number of coarse images in training.
    """

    def __init__(self, channels: int, width: int, depth: int, scale: int, draws: int):
        super().__init__(channels, scale)
        self.draws = draws
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.encode = ResidualBlock(width)
        self.fuse = BaseQuery(width)
        self.trunk = nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
        self.up = AdaptiveUpsampling(width, scale)
        self.out = nn.Sequential(nn.GELU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, coarse: Tensor) -> Tensor:
        """[b, c, h, w] or [b, k, c, h, w] -> [b, c, scale · h, scale · w]; the first of k images is refined."""
        burst = coarse if coarse.ndim == 5 else coarse[:, None]
        features = self.encode(self.stem(burst.flatten(0, 1))).unflatten(0, burst.shape[:2])
        base = F.interpolate(burst[:, 0], scale_factor=self.scale, mode="bicubic", align_corners=False)
        return base + self.out(self.up(self.trunk(self.fuse(features))))

    def degraded(self, images: Tensor, degrade: Degrade, generator: torch.Generator) -> Tensor:
        """A coarse version of each image and up to `draws` - 1 more: [b, k, c, h, w].

        Each of the others shows, with equal chances, the same image with fresh corruption or another one of the batch.
        """
        coarse = [degrade(images, generator)]
        for _ in range(int(torch.randint(self.draws, (), generator=generator))):
            same = torch.rand(len(images), generator=generator) < 0.5
            others = torch.randperm(len(images), generator=generator)
            shown = torch.where(same, torch.arange(len(images)), others)
            coarse.append(degrade(images[shown.to(images.device)], generator))
        return torch.stack(coarse, dim=1)

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """Mean absolute error over pixels; see `RefinerNetwork.loss`. `coarse` is [b, k, c, h, w]."""
        return F.l1_loss(self(coarse), images)

    @torch.inference_mode()
    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """See `RefinerNetwork.refine`; deterministic. `coarse` may be [b, k, c, h, w]."""
        return self(coarse)


class BaseQuery(nn.Module):
    """(v₀ + Σ gᵢ vᵢ) / (1 + Σ gᵢ) with gates gᵢ = sigmoid(bias - ‖q₀ - kᵢ‖²): what disagrees with the base is left out.

    Queries q, keys k and values v are linear in the features of each pixel; q₀ and v₀ are those of the first image.
    """

    def __init__(self, width: int):
        super().__init__()
        self.query = nn.Conv2d(width, width, 1)
        self.key = nn.Conv2d(width, width, 1)
        self.key.load_state_dict(self.query.state_dict())  # at first, equal features agree
        self.value = nn.Conv2d(width, width, 1)
        self.bias = nn.Parameter(torch.zeros(HEADS, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """[b, k, width, h, w] -> [b, width, h, w]."""
        values = self._heads(self.value, features)
        gates = self.gates(features)[:, :, :, None]  # [b, k - 1, heads, 1, h, w]
        fused = (values[:, 0] + (gates * values[:, 1:]).sum(1)) / (1 + gates.sum(1))
        return fused.flatten(1, 2)

    def gates(self, features: Tensor) -> Tensor:
        """How much each other image is used: [b, k, width, h, w] -> [b, k - 1, HEADS, h, w] in (0, 1)."""
        query = self._heads(self.query, features[:, :1])
        keys = self._heads(self.key, features[:, 1:])
        return (self.bias - (query - keys).square().sum(3)).sigmoid()

    def _heads(self, project: nn.Conv2d, features: Tensor) -> Tensor:
        """[b, k, width, h, w] -> [b, k, HEADS, width / HEADS, h, w]."""
        return project(features.flatten(0, 1)).unflatten(0, features.shape[:2]).unflatten(2, (HEADS, -1))


class AdaptiveUpsampling(nn.Module):
    """Upsampling by kernels that are computed from the features: each new pixel weights TAPS x TAPS coarse pixels."""

    def __init__(self, width: int, scale: int):
        super().__init__()
        self.scale = scale
        self.kernel = nn.Conv2d(width, TAPS**2 * scale**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[b, width, h, w] -> [b, width, scale · h, scale · w]."""
        weights = self.kernel(x).unflatten(1, (TAPS**2, -1)).softmax(1)  # [b, taps, scale², h, w]
        patches = F.unfold(x, TAPS, padding=TAPS // 2).unflatten(1, (-1, TAPS**2)).unflatten(-1, x.shape[-2:])
        return F.pixel_shuffle(torch.einsum("bcthw,btshw->bcshw", patches, weights).flatten(1, 2), self.scale)
