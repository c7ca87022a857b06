"""Vector quantisation of the coarse wavelet band: patches of LL coefficients <-> entries of a public codebook.

The codebook is k-means over patches of public images. (The learnt two-codebook tokenizer of SIT, arXiv 2412.09607,
takes its place in a later version.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.errors import ConfigError


class PatchTokenizer:
    """Non-overlapping patches of an image, each replaced by its nearest codebook entry.

    Args:
        codebook: float [V, c · patch · patch].
        patch: side of a patch.
        channels: of the image.
        side: height and width of the image; a multiple of `patch`.
    """

    def __init__(self, codebook: Tensor, patch: int, channels: int, side: int):
        if side % patch:
            raise ConfigError(f"patches of {patch} do not divide the coarse band of {side}x{side}")
        self.codebook = codebook
        self.patch = patch
        self.channels = channels
        self.side = side

    @property
    def length(self) -> int:
        """Tokens per image."""
        return (self.side // self.patch) ** 2

    def encode(self, images: Tensor) -> Tensor:
        """float [b, c, side, side] -> int64 tokens [b, length] in raster order."""
        patches = to_patches(images, self.patch)
        return nearest(patches.flatten(0, 1), self.codebook).reshape(patches.shape[:2])

    def decode(self, tokens: Tensor) -> Tensor:
        """int64 [b, length] -> float [b, c, side, side]."""
        b, grid = len(tokens), self.side // self.patch
        patches = self.codebook[tokens].reshape(b, grid, grid, self.channels, self.patch, self.patch)
        return patches.permute(0, 3, 1, 4, 2, 5).reshape(b, self.channels, self.side, self.side)


def to_patches(images: Tensor, patch: int) -> Tensor:
    """[b, c, h, w] -> [b, (h/p)(w/p), c·p·p] in raster order."""
    b, c, h, w = images.shape
    blocks = images.reshape(b, c, h // patch, patch, w // patch, patch)
    return blocks.permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * patch * patch)


def nearest(points: Tensor, centres: Tensor, chunk: int = 65536) -> Tensor:
    """Index of the Euclidean nearest centre of each point: [n, d], [k, d] -> [n]."""
    half_norms = centres.square().sum(1) / 2
    return torch.cat([(half_norms - part @ centres.T).argmin(1) for part in points.split(chunk)])


def kmeans(points: Tensor, k: int, generator: torch.Generator, iterations: int = 30) -> Tensor:
    """Lloyd's algorithm from random points; a centre that loses all its points restarts at a random one.

    Args:
        points: float [n, d], n >= k.

    Returns:
        centres [k, d].
    """
    if len(points) < k:
        raise ConfigError(f"{k} codes need at least as many public patches, not {len(points)}; set fewer codes")
    centres = points[torch.randperm(len(points), generator=generator)[:k]].clone()
    for _ in range(iterations):
        assigned = nearest(points, centres)
        counts = torch.bincount(assigned, minlength=k)
        sums = torch.zeros_like(centres).index_add_(0, assigned, points)
        strays = points[torch.randint(len(points), (k,), generator=generator)]
        centres = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], strays)
    return centres
