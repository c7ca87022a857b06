"""Nearest-neighbour search in blocks, so that memory does not grow with the number of images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dpbench.evaluation.features import Array, evenly_spaced

Indices = NDArray[np.int64]


def nearest(queries: Array, pool: Iterable[Array], parts: Indices, exclude: Indices | None = None) -> Indices:
    """Each query's nearest neighbour in each part of a pool, by Euclidean distance.

    Neighbours are ranked by |x - y|² - |x|² = |y|² - 2 x·y in float32, after subtracting the mean query from x and y.
    This is inaccurate for short distances: compute reported distances from the difference of each pair.

    Args:
        queries: float32 [q, d].
        pool: blocks of float32 [b, d], n rows in total.
        parts: part number of each row of the pool, [n]: 0, 1, ..., each at least once.
        exclude: for each query, a row of the pool to ignore, such as the query itself, [q].

    Returns:
        [parts, q] rows of the pool.
    """
    origin = queries.mean(0)
    x = -2 * (queries - origin)
    rows = np.arange(len(x))
    closest = np.full((parts.max() + 1, len(x)), np.inf, dtype=np.float32)
    found = np.zeros(closest.shape, dtype=np.int64)
    start = 0
    for block in pool:
        own = parts[start : start + len(block)]
        order = np.argsort(own, kind="stable")  # the columns of one part become contiguous
        y = block[order] - origin
        squared = x @ y.T  # [q, b]
        squared += np.einsum("bd,bd->b", y, y)
        if exclude is not None:
            squared[exclude[:, None] == start + order] = np.inf
        for part in np.unique(own):
            first, end = np.searchsorted(own[order], [part, part + 1])
            column = first + squared[:, first:end].argmin(1)
            closer = squared[rows, column] < closest[part]
            closest[part, closer] = squared[rows, column][closer]
            found[part, closer] = start + order[column[closer]]
        start += len(block)
    return found


def parts_of(n: int, size: int, count: int) -> Indices:
    """Splits n rows into `count` interleaved parts of exactly `size` rows: part numbers, int64 [n].

    Remaining rows form one additional part, with number `count`.
    """
    parts = np.full(n, count, dtype=np.int64)
    parts[evenly_spaced(n, count * size)] = np.arange(count * size) % count
    return parts
