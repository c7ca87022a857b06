"""Nearest neighbours in blocks, so that memory does not grow with the number of points."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.models.exact import exact

BLOCK = 8192
"""Points whose distances are in memory at the same time, per query."""


def nearest_points(queries: Tensor, points: Tensor, k: int = 1, groups: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """The k nearest points of each query by Euclidean distance, nearest first: int64 [q, k], all different.

    A query that is not finite gets any k points. Copies no value to the host. Memory holds q x `BLOCK` distances.

    Args:
        queries: float [q, d].
        points: float [n, d] with n >= k, and at least k of each group.
        k: number of neighbours.
        groups: int64 [q] and [n]: only points of a query's own group are its neighbours; None for one group.
    """
    device = queries.device
    squares = torch.empty(len(queries), 0, device=device)
    places = torch.empty(len(queries), 0, dtype=torch.long, device=device)
    with exact(device):
        for first in range(0, len(points), BLOCK):
            block = points[first : first + BLOCK]
            found = torch.addmm(block.square().sum(1), queries, block.T, alpha=-2)  # without |query|²
            if groups is not None:
                own = groups[0][:, None] == groups[1][None, first : first + BLOCK]
                found = torch.where(own, found, math.inf)
            found, where = found.topk(min(k, len(block)), largest=False)
            found = torch.cat([squares, found], 1)
            squares, best = found.topk(min(k, found.shape[1]), largest=False)
            places = torch.cat([places, where + first], 1).gather(1, best)
    return places


def pixel_points(images: Tensor, side: int) -> Tensor:
    """Images as points: their pixels in [0, 1] at a resolution of at most `side`.

    Args:
        images: uint8 [b, c, h, w].
        side: largest height and width; larger images are averaged down.

    Returns:
        float [b, c · s · s] with s = min(side, h).
    """
    small = F.adaptive_avg_pool2d(images.float() / 255, min(side, images.shape[-1]))
    return small.flatten(1)
