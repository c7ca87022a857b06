"""The outlines of ten shapes, as signed distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from dpbench.data.synthetic.procedural import Array


def _length(x: Array, y: Array) -> Array:
    return np.sqrt(x * x + y * y)


def polygon_distance(corners: Sequence[tuple[Any, Any]], x: Array, y: Array) -> Array:
    """Exact signed distance to a closed polygon (Quilez, "2D distance functions").

    Args:
        corners: x and y of every corner, numbers or arrays that broadcast against the points.
        x, y: the points, [b, h, w].

    Returns:
        [b, h, w], negative inside.
    """
    nearest: Array = np.full(np.broadcast(x, y).shape, np.inf, dtype=np.float32)
    outside = np.ones(nearest.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        ex, ey = bx - ax, by - ay
        px, py = x - ax, y - ay
        t = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
        dx, dy = px - ex * t, py - ey * t
        nearest = np.minimum(nearest, dx * dx + dy * dy)
        crosses = ((y >= ay) != (y >= by)) & ((px * ey - py * ex > 0) == (by > ay))
        outside ^= crosses
    return np.where(outside, np.sqrt(nearest), -np.sqrt(nearest))


def _polygon(*corners: tuple[float, float]) -> Callable[[Array, Array], Array]:
    return partial(polygon_distance, corners)


def _disc(x: Array, y: Array) -> Array:
    return _length(x, y) - 0.9


def _ring(x: Array, y: Array) -> Array:
    return np.abs(_length(x, y) - 0.75) - 0.23


def _crescent(x: Array, y: Array) -> Array:
    x = x - 0.1
    return np.maximum(_length(x, y) - 0.98, 0.78 - _length(x - 0.5, y))


def _heart(x: Array, y: Array) -> Array:
    x, y = np.abs(x) * 0.6, 0.55 - y * 0.6  # Quilez's heart: tip at the origin, about 1.1 tall
    lobe = _length(x - 0.25, y - 0.75) - 0.35355339
    low = np.maximum(x + y, 0) * 0.5
    tip = np.sqrt(np.minimum(x * x + (y - 1) * (y - 1), (x - low) * (x - low) + (y - low) * (y - low)))
    return np.where(x + y > 1, lobe, np.where(x > y, tip, -tip)) / 0.6


SHAPES: dict[str, Callable[[Array, Array], Array]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _polygon((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "triangle": _polygon((0, -1.05), (1.05, 0.8), (-1.05, 0.8)),
    "star": _polygon(
        *[(0, -1.1), (0.27, -0.35), (1.05, -0.34), (0.43, 0.14), (0.65, 0.9)],
        *[(0, 0.45), (-0.65, 0.9), (-0.43, 0.14), (-1.05, -0.34), (-0.27, -0.35)],
    ),
    "cross": _polygon(
        *[(-0.32, -1), (0.32, -1), (0.32, -0.32), (1, -0.32), (1, 0.32), (0.32, 0.32)],
        *[(0.32, 1), (-0.32, 1), (-0.32, 0.32), (-1, 0.32), (-1, -0.32), (-0.32, -0.32)],
    ),
    "crescent": _crescent,
    "heart": _heart,
    "arrow": _polygon((-1, -0.28), (0.05, -0.28), (0.05, -0.85), (1.05, 0), (0.05, 0.85), (0.05, 0.28), (-1, 0.28)),
    "bolt": _polygon((0.4, -1.1), (-0.9, 0.22), (-0.1, 0.22), (-0.4, 1.1), (0.9, -0.28), (0.1, -0.28)),
}
"""Class name -> signed distance (negative inside) in the shape's own frame; the shape fills about [-1, 1]²."""
