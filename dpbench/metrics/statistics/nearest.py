"""Nearest neighbours among images and their mirror images, in blocks, so that memory does not grow with the sets."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from dpbench.evaluation.features import Array
from dpbench.evaluation.stratified import Indices

ROWS = 256
"""Number of queries whose distances are in memory at the same time."""


class Neighbours(NamedTuple):
    """The nearest images of a pool [n] for each query [q], and the nearest query for each image of the pool."""

    indices: Indices
    """Positions in the pool, nearest first: [q, k]."""
    distances: Array
    """The distances of these images: [q, k]."""
    closest: Array
    """The distance of each image of the pool to its nearest query, to about 4 digits: [n]."""


def neighbours(queries: Array, pool: Iterable[Array], k: int) -> Neighbours:
    """Each query's k nearest images of a pool.

    The distance is the smaller of the Euclidean distances to the image and to its mirror image, whose features differ
    only in the sign of the second part.

    Args:
        queries: float32 [q, 2, d], such as those of `FourierMagnitudes`.
        pool: blocks of float32 [b, 2, d], n >= k images in total.
        k: number of neighbours.
    """
    x = torch.from_numpy(queries)
    distances, indices = torch.full((len(x), k), math.inf), torch.zeros((len(x), k), dtype=torch.int64)
    closest, start = [], 0
    for block in pool:
        y = torch.from_numpy(block)
        of_y, least = y.square().sum((1, 2)), torch.full((len(y),), math.inf)
        for first in range(0, len(x), ROWS):
            rows = slice(first, first + ROWS)
            squares = _squares(x[rows], y, of_y)
            least = torch.minimum(least, squares.amin(0))
            found = squares.topk(min(k, len(y)), largest=False).indices
            candidates = torch.cat([distances[rows], _distances(x[rows, None], y[found])], 1)
            positions = torch.cat([indices[rows], start + found], 1)
            distances[rows], best = candidates.topk(k, largest=False)
            indices[rows] = positions.gather(1, best)
        closest.append(least.clamp(min=0).sqrt())
        start += len(y)
    return Neighbours(indices.numpy(), distances.numpy(), torch.cat(closest).numpy())


def _squares(x: Tensor, y: Tensor, of_y: Tensor) -> Tensor:
    """Squared distances [q, b] as |x|² + |y|² - 2 x·y; inaccurate for short distances.

    Args:
        x: [q, 2, d].
        y: [b, 2, d].
        of_y: |y|² [b].
    """
    squares = torch.addmm(of_y, x[:, 0], y[:, 0].T, alpha=-2)
    squares.sub_((x[:, 1] @ y[:, 1].T).abs_(), alpha=2)
    return squares.add_(x.square().sum((1, 2))[:, None])


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Accurate distances [q, k] of x [q, 1, 2, d] and y [q, k, 2, d]."""
    image, mirrored = ((x - y * sign).square().sum((2, 3)) for sign in (1, torch.tensor([[1.0], [-1.0]])))
    return torch.minimum(image, mirrored).sqrt()
