"""The default dataset: generated images of ten shapes, available offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.data.synthetic.grain import GRAIN_WIDTH, GRAINS, engrave, grain
from dpbench.data.synthetic.parametric import ParametricDataset
from dpbench.data.synthetic.procedural import FILL_WIDTH, Array, Draws, Grid, blend, cover, figure, ground, to_bytes


def _length(x: Array, y: Array) -> Array:
    return np.sqrt(x * x + y * y)


def _polygon(*corners: tuple[float, float]) -> Callable[[Array, Array], Array]:
    """Exact signed distance to a closed polygon (Quilez, "2D distance functions")."""

    def distance(x: Array, y: Array) -> Array:
        nearest: Array = np.full(np.broadcast(x, y).shape, np.inf, dtype=np.float32)
        outside = np.ones(nearest.shape, dtype=bool)
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            ex, ey = bx - ax, by - ay
            px, py = x - ax, y - ay
            t = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
            dx, dy = px - ex * t, py - ey * t
            nearest = np.minimum(nearest, dx * dx + dy * dy)
            crosses = ((y >= ay) != (y >= by)) & ((px * ey - py * ex > 0) == (by > ay))
            outside ^= crosses
        return np.where(outside, np.sqrt(nearest), -np.sqrt(nearest))

    return distance


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


class Shapes(ParametricDataset):
    """Ten shapes, 32×32 colour, generated (the default); shapes:T shows a share T of the classes in fine grain

    A disc, ring, square, triangle, star, cross, crescent, heart, arrow or bolt of random colour, position, size and
    tilt, 60% to 85% as wide as the image, on a textured background: 50,000 + 10,000. The class is mostly visible in
    coarse structure: 4×4 block means suffice to distinguish almost all images. A record depends only on its position in
    the split and on the parameter.

    The parameter `shapes:T`, 0 <= T <= 1, moves the class from coarse structure to fine texture, so that the hypothesis
    "class information is in the coarse wavelet band" is true or false by design: `shapes` and `shapes:coarse` are
    T = 0, `shapes:middle` is 0.5, `shapes:fine` is 1. For T > 0 every figure has a grain (`data.synthetic.grain`), a
    pixel pattern of period 2 or 4 that vanishes in 4×4 block means at every resolution. Each record, independently with
    probability T, shows its class in the grain, one of ten, and has a random shape; otherwise it shows its class in the
    shape and has one of five grains that belong to no class. The accuracy of a classifier of 4×4 block means thus falls
    to chance as T approaches 1, while the full image always determines the class. At T = 1 a class keeps the name of
    its shape but is defined by its grain. Positions, colours, backgrounds and labels are the same for every T.
    """

    name = "shapes"
    version: ClassVar[int] = 2
    resolutions = (8, 128)  # 2.5 GB at 128
    classes = tuple(SHAPES)
    words: ClassVar[Mapping[str, float]] = {"coarse": 0, "middle": 0.5, "fine": 1}
    n_train = 50_000
    n_test = 10_000
    widths = (2 * FILL_WIDTH + 6, 3 + GRAIN_WIDTH)  # for the scene and the shape; for the grain

    def paint(self, draws: Draws, labels: NDArray[np.int64], grid: Grid) -> NDArray[np.uint8]:
        """Images of the given classes at this parameter: uint8 [b, 3, h, w]."""
        size = draws.uniform(0.6, 0.85)
        x, y = (axis - (1 - size) * draws.uniform(-0.8, 0.8) for axis in (grid.x, grid.y))
        cos, sin = draws.rotation(0.15)  # tilts of up to 17°
        x, y = (cos * x + sin * y) / size, (cos * y - sin * x) / size
        below, above = ground(draws, grid), figure(draws, grid)

        fine = draws.take(1)[:, 0] < self.parameter  # records whose class is in the grain
        shapes = np.where(fine, draws.integer(len(SHAPES)), labels)
        grains = np.where(fine, labels, len(SHAPES) + draws.integer(len(GRAINS) - len(SHAPES)))
        distance = np.empty(x.shape, dtype=np.float32)
        for kind, shape in enumerate(SHAPES.values()):
            of = shapes == kind
            distance[of] = shape(x[of], y[of]) * size[of]
        alpha = cover(distance, grid.pixel)
        if self.parameter:
            above = engrave(above, grain(draws, grains, grid), alpha)
        return to_bytes(blend(below, above, alpha))
