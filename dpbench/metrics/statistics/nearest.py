"""Nearest-neighbour search in blocks, so that memory does not grow with the number of images.

The distance of two images in some of their features is at most that in all features. Where the first quarter of the
features holds most of the energy, as in wavelet packets, this bound excludes nearly all pairs, and few are left to be
compared one by one. Where it does not, as for images of noise, all features are used.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dpbench.evaluation.features import Array
from dpbench.evaluation.stratified import Indices

ONE_BY_ONE = 1 / 64
"""Share of the images up to which they are compared one by one; for more, a matrix product takes less time."""
EPSILON = float(np.finfo(np.float32).eps)


def nearest(
    queries: Array,
    pool: Iterable[Array],
    parts: Indices,
    exclude: Indices | None = None,
    enough: Array | None = None,
) -> Indices:
    """Each query's nearest neighbour in each part of a pool, by Euclidean distance.

    Args:
        queries: float32 [q, d].
        pool: blocks of float32 [b, d], n rows in total.
        parts: part number of each row of the pool, [n]: 0, 1, ..., each at least once.
        exclude: for each query, a row of the pool to ignore, such as the query itself, [q].
        enough: for each query, a distance [q]; the search may end with any image that is nearer.

    Returns:
        [parts, q] rows of the pool.
    """
    closest = np.full((parts.max() + 1, len(queries)), np.inf, dtype=np.float32)
    found = np.zeros(closest.shape, dtype=np.int64)
    least = np.zeros(len(queries)) if enough is None else np.square(enough)
    left, start, few = np.arange(len(queries)), 0, -(-queries.shape[1] // 4)
    for block in pool:
        own = parts[start : start + len(block)]
        x = queries[left]
        for part in np.unique(own):
            rows = np.flatnonzero(own == part)
            ignored = np.nonzero([[]] if exclude is None else exclude[left, None] == start + rows)
            columns, squares, hard = _nearer(x, block[rows], closest[part, left], ignored, few)
            nearer = squares < closest[part, left]
            closest[part, left[nearer]] = squares[nearer]
            found[part, left[nearer]] = start + rows[columns[nearer]]
            few = queries.shape[1] if hard > len(left) / 2 else few
        start += len(block)
        left = left[(closest[:, left] >= least[left]).any(0)]
        if not len(left):
            break
    return found


def _nearer(
    queries: Array, images: Array, limits: Array, ignored: tuple[Indices, ...], few: int
) -> tuple[Indices, Array, int]:
    """Each query's nearest image if it is nearer than a limit.

    If too many images have a bound below a query's limit, they are ranked by |x|² + |y|² - 2 x·y in float32, after
    subtracting the mean query from x and y. This is inaccurate for short distances.

    Args:
        queries: float32 [q, d].
        images: float32 [r, d].
        limits: squared distance of each query from the nearest image found so far, [q].
        ignored: pairs that do not count, as numbers of queries and numbers of images.
        few: number of features that the bounds use.

    Returns:
        The nearest images [q]; their squared distances [q], infinite if no image is nearer than the limit; and the
        number of queries with too many candidates.
    """
    found, squares = np.zeros(len(queries), dtype=np.int64), np.full(len(queries), np.inf, dtype=np.float32)

    def compare(which: Indices, candidates: Indices) -> None:
        differences = images[candidates]
        differences -= queries[which]
        distances = np.einsum("bd,bd->b", differences, differences)
        nearer = distances < squares[which]
        found[which[nearer]], squares[which[nearer]] = candidates[nearer], distances[nearer]

    bounds = _squares(queries[:, :few], images[:, :few], margin=few * EPSILON)
    bounds[ignored] = np.inf
    best, hard = bounds.argmin(1), 0
    left = np.flatnonzero(bounds[np.arange(len(best)), best] < limits)
    best = best[left]
    while len(left):
        compare(left, best)
        bounds[left, best] = np.inf
        candidates = np.count_nonzero(bounds[left] < np.minimum(limits, squares)[left, None], axis=1)
        too_many = candidates > ONE_BY_ONE * len(images)
        if (many := left[too_many]).size:
            compare(many, np.where(np.isinf(bounds[many]), np.inf, _squares(queries[many], images)).argmin(1))
            hard += len(many)
        left = left[(candidates > 0) & ~too_many]
        best = bounds[left].argmin(1)
    return found, squares, hard


def _squares(x: Array, y: Array, margin: float = 0) -> Array:
    """Squared distances |x|² + |y|² - 2 x·y [q, r], minus `margin` times |x|² + |y|²."""
    origin = x.mean(0)
    x, y = x - origin, y - origin
    of_x, of_y = ((1 - margin) * np.einsum("bd,bd->b", z, z)[:, None] for z in (x, y))
    return np.hstack([-2 * x, of_x, np.ones_like(of_x)]) @ np.hstack([y, np.ones_like(of_y), of_y]).T


def parts_of(order: Indices, size: int, count: int) -> Indices:
    """Splits n rows into `count` parts of exactly `size` rows: part numbers, int64 [n].

    Args:
        order: a permutation of the rows [n]; the first `size` rows in it are part 0, and so on. The last rows form one
            additional part, with number `count`.
        size, count: of the parts; at most n rows in all.
    """
    parts = np.full(len(order), count, dtype=np.int64)
    parts[order[: count * size]] = np.repeat(np.arange(count), size)
    return parts
