"""A public source: generated dead-leaves images with the textures of `shapes`, but without its shapes.

Like photographs, dead-leaves images (Lee, Mumford & Huang 2001) have occlusion, edges and objects of all sizes; Baradad
et al. 2021, "Learning to see by looking at noise", pretrain on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.core.specs import DatasetSpec
from dpbench.data.synthetic.grain import GRAIN_WIDTH, GRAINS, engrave, grain
from dpbench.data.synthetic.parametric import ParametricDataset
from dpbench.data.synthetic.procedural import FILL_WIDTH, Array, Draws, Grid, blend, cover, figure, ground, to_bytes

MOST_LEAVES = 8
SIDES = ((1.0, 0.0), (0.5, 0.8660254), (-0.5, 0.8660254), (-1.0, 0.0), (-0.5, -0.8660254), (0.5, -0.8660254))
LEAF_WIDTH = FILL_WIDTH + 7 + len(SIDES)  # random numbers that one leaf uses


def _ellipse(x: Array, y: Array, numbers: Array) -> Array:
    aspect = 1.4 + 1.4 * numbers[:, 0]
    y = y * aspect
    return (np.sqrt(x * x + y * y) - 1) / aspect  # a lower bound on the distance, exact across the short axis


def _facets(x: Array, y: Array, numbers: Array) -> Array:
    """An irregular convex polygon: the intersection of six half-planes."""
    distance = np.full(x.shape, -np.inf, dtype=np.float32)
    for index, (nx, ny) in enumerate(SIDES):
        distance = np.maximum(distance, nx * x + ny * y - (0.3 + 0.7 * numbers[:, index]))
    return distance


def _blob(x: Array, y: Array, numbers: Array) -> Array:
    """A circle whose radius varies with the second and third harmonics of the angle."""
    square = x * x + y * y + np.float32(1e-6)
    radius = np.sqrt(square)
    twice, thrice = (x * x - y * y) / square, x * (x * x - 3 * y * y) / (square * radius)
    outline = 0.7 + (0.1 + 0.15 * numbers[:, 0]) * twice + (0.4 * numbers[:, 1] - 0.2) * thrice
    return 0.8 * (radius - outline)


OUTLINES: tuple[Callable[[Array, Array, Array], Array], ...] = (_ellipse, _facets, _blob)
"""Leaf outlines: (x, y, random numbers [b, 6, 1, 1]) -> signed distance to a leaf of radius 1, negative inside."""


def _leaf(draws: Draws, grid: Grid, foreground: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Colours [b, 3, h, w] and coverage [b, h, w] of one leaf per image, which is large if it is the foreground."""
    kind = draws.integer(len(OUTLINES))  # 1
    u = draws.uniform(0, 1)  # 1
    size = np.where(foreground[:, None, None], 0.4 + 0.4 * u, 0.16 / (1 - 0.8 * u))  # many small, some large
    reach = np.where(foreground[:, None, None], np.float32(0.45), np.float32(1))
    x, y = (axis - reach * draws.uniform(-1, 1) for axis in (grid.x, grid.y))  # 2
    cos, sin = draws.direction()  # 2
    x, y = (cos * x + sin * y) / size, (cos * y - sin * x) / size
    numbers = draws.take(len(SIDES))[:, :, None, None]
    distance = np.empty_like(x)
    for index, outline in enumerate(OUTLINES):
        of = kind == index
        distance[of] = outline(x[of], y[of], numbers[of]) * size[of]
    colours = figure(draws, grid)  # 1 + FILL_WIDTH
    return colours, cover(distance, grid.pixel)


def _engrave_some(colours: Array, alpha: Array, share: float, rows: Array, grid: Grid) -> Array:
    """Adds a random grain to a random share of the leaves; colours [b, 3, h, w], rows [b, 2 + GRAIN_WIDTH]."""
    some = rows[:, 0] < share
    draws = Draws(rows[some, 1:])
    kinds = draws.integer(len(GRAINS))  # 1
    colours[some] = engrave(colours[some], grain(draws, kinds, grid), alpha[some])  # GRAIN_WIDTH
    return colours


class Textures(ParametricDataset):
    """Public source: overlapping textured leaves, 32×32 colour, generated; textures:G gives a share G fine grain

    One to eight ellipses, irregular polygons and blobs of random texture, colour and size on a textured background. In
    most images, the last leaf is large, like an object in front of a background. 20,000 + 2,000 images, divided by four
    for each doubling of the resolution above 128, so that the cache takes about 1 GB. There are no classes.

    `textures:G` with 0 <= G <= 1 gives each leaf, with probability G, one of the fifteen grains of
    `data.synthetic.grain`, which `grained:T` also uses. `textures:grain` is `textures:1`.
    """

    public_only = True
    name = "textures"
    version: ClassVar[int] = 2
    classes = None
    n_train = 20_000
    n_test = 2_000
    widths = (2 + FILL_WIDTH + 1 + MOST_LEAVES * LEAF_WIDTH, MOST_LEAVES * (2 + GRAIN_WIDTH))
    words: ClassVar[Mapping[str, float]] = {"grain": 1}

    @property
    def spec(self) -> DatasetSpec:
        """See `Dataset.spec`."""
        shrink = max(1, self.size / 128) ** 2
        return replace(super().spec, n_train=int(self.n_train / shrink), n_test=int(self.n_test / shrink))

    def paint(self, draws: Draws, labels: NDArray[np.int64], grid: Grid) -> NDArray[np.uint8]:
        """Images: uint8 [b, 3, h, w]; the labels are not used."""
        leaves = 1 + draws.integer(MOST_LEAVES)
        portrait = draws.take(1)[:, 0] < 0.6
        canvas = ground(draws, grid)
        rows = [draws.take(LEAF_WIDTH) for _ in range(MOST_LEAVES)]
        grain_rows = [draws.take(2 + GRAIN_WIDTH) for _ in range(MOST_LEAVES)]
        for place in range(MOST_LEAVES):
            on = place < leaves
            colours, alpha = _leaf(Draws(rows[place][on]), grid, (portrait & (leaves == place + 1))[on])
            colours = _engrave_some(colours, alpha, self.parameter, grain_rows[place][on], grid)
            canvas[on] = blend(canvas[on], colours, alpha)
        return to_bytes(canvas)
