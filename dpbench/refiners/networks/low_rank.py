"""Denoising by low rank: the singular values of groups of similar patches are shrunk (WNNM, Gu et al., CVPR 2014)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.refiners.networks.non_local import patch_distances, window

WEIGHT = 2 * 2**0.5
"""The constant c of the paper's weights."""

EPSILON = 1e-6
"""Keeps the weight of a singular value of zero finite."""


@dataclass(frozen=True)
class GroupConfig:
    """How similar patches are grouped.

    Attributes:
        patch: side of the patches.
        neighbours: patches per group.
        reach: largest distance between the patches of a group, in rows and in columns.
        stride: distance between the patches around which groups are formed; at most `patch`.
    """

    patch: int
    neighbours: int
    reach: int
    stride: int


def low_rank(images: Tensor, sigma: float, config: GroupConfig) -> Tensor:
    """The images with every group of similar patches replaced by a low-rank estimate; overlapping patches are averaged.

    Args:
        images: [b, c, h, w].
        sigma: standard deviation of the noise to remove.
        config: see `GroupConfig`; images that are too small get smaller patches and groups.
    """
    h, w = images.shape[-2:]
    patch = min(config.patch, h, w)
    places = similar_places(images, patch, config)  # [b, groups, neighbours]
    patches = F.unfold(images, patch).transpose(1, 2)  # [b, places, c · patch²]
    index = places.flatten(1)[..., None].expand(-1, -1, patches.shape[-1])
    groups = patches.gather(1, index).unflatten(1, places.shape[1:])
    mean = groups.mean(2, keepdim=True)
    shrunk = (weighted_nuclear_norm(groups - mean, sigma) + mean).flatten(1, 2)
    total = torch.zeros_like(patches).scatter_add_(1, index, shrunk)
    count = torch.zeros_like(patches).scatter_add_(1, index, torch.ones_like(shrunk))
    total, count = (F.fold(x.transpose(1, 2), (h, w), patch) for x in (total, count))
    return total / count


def similar_places(images: Tensor, patch: int, config: GroupConfig) -> Tensor:
    """For each group the places of its patches, most similar first: int64 [b, groups, neighbours].

    A place is a patch's index in `torch.nn.functional.unfold`. The groups cover every pixel.
    """
    rows, columns = images.shape[-2] - patch + 1, images.shape[-1] - patch + 1
    reach = min(config.reach, max(rows, columns) - 1)
    neighbours = min(config.neighbours, min(reach + 1, rows) * min(reach + 1, columns))  # a corner has no more
    y, x = (covering(length, config.stride, images.device) for length in (rows, columns))
    distances = patch_distances(images, patch, reach)[..., y[:, None], x]
    distances[:, window(reach).index((0, 0))] = -1  # a group holds its own patch even where others are equal
    offsets = distances.topk(neighbours, dim=1, largest=False).indices  # [b, neighbours, y, x]
    side = 2 * reach + 1
    down, right = offsets // side - reach, offsets % side - reach
    return ((y[:, None] + down) * columns + x + right).flatten(2).transpose(1, 2)


def covering(length: int, stride: int, device: torch.device) -> Tensor:
    """0, stride, 2 stride, ... below `length`, and the last index: int64."""
    steps = torch.arange(0, length, stride, device=device)
    return torch.unique(torch.cat([steps, steps.new_tensor([length - 1])]))


def weighted_nuclear_norm(groups: Tensor, sigma: float) -> Tensor:
    """argmin over X of ½ ‖groups - X‖² + Σᵢ wᵢ sᵢ(X), with wᵢ = 2 c √n σ² / (sᵢ(X) + ε) for n rows.

    sᵢ are singular values, so large ones, which carry structure, are hardly shrunk. See `shrink`.

    Args:
        groups: [..., n, m], one patch per row.
        sigma: standard deviation of the noise.
    """
    u, s, v = torch.linalg.svd(groups, full_matrices=False)
    constant = 2 * WEIGHT * groups.shape[-2] ** 0.5 * sigma**2
    return (u * shrink(s, constant)[..., None, :]) @ v


def shrink(singular: Tensor, constant: float) -> Tensor:
    """The fixed point of x = max(s - constant / (x + ε), 0) reached from x = s (WNNM, IJCV 2017, corollary 1)."""
    gap, root = singular - EPSILON, (singular + EPSILON).square() - 4 * constant
    return torch.where(root < 0, 0.0, (gap + root.clamp_min(0).sqrt()) / 2).clamp_min(0)
