"""The default public source: generated figures in the style of `shapes`, but with other outlines."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpbench.data.synthetic.outlines import polygon_distance
from dpbench.data.synthetic.portrait import PORTRAIT_WIDTH, Distance, portrait
from dpbench.data.synthetic.procedural import Array, Draws, Grid
from dpbench.data.synthetic.rendering import RenderedDataset

KINDS = 1_000
CORNERS = 10
TURNS = np.array(
    [(0, -1), (0.588, -0.809), (0.951, -0.309), (0.951, 0.309), (0.588, 0.809),
     (0, 1), (-0.588, 0.809), (-0.951, 0.309), (-0.951, -0.309), (-0.588, -0.809)], dtype=np.float32,
)  # fmt: skip
"""Directions from the centre to the corners, clockwise from the top: [CORNERS, 2]."""


class Outlines(NamedTuple):
    """Outlines of k figures: a polygon, moved outwards, minus a disc.

    Attributes:
        corners: [k, CORNERS, 2], the polygon's corners.
        rounding: [k], how far its outline is moved outwards, which rounds the corners.
        hole: [k], radius of the disc; a negative radius cuts nothing.
        centre: [k, 2], the disc's centre.
    """

    corners: Array
    rounding: Array
    hole: Array
    centre: Array


def _random_outlines() -> Outlines:
    """The outline of every kind of figure, the same on every machine."""
    draws = Draws(np.random.Generator(np.random.PCG64(1)).random((KINDS, CORNERS + 9), dtype=np.float32))
    corners = (0.3 + 0.8 * draws.take(CORNERS))[:, :, None] * TURNS
    skew = np.eye(2, dtype=np.float32) + 0.8 * draws.take(4).reshape(KINDS, 2, 2) - 0.4
    return Outlines(
        corners=corners[..., :1] * skew[:, None, 0] + corners[..., 1:] * skew[:, None, 1],
        rounding=0.25 * draws.take(1)[:, 0],
        hole=np.where(draws.take(1) < 0.4, 0.2 + 0.4 * draws.take(1), np.float32(-9))[:, 0],
        centre=1.2 * draws.take(2) - 0.6,
    )


OUTLINES = _random_outlines()


class Figures(RenderedDataset):
    """Public source: irregular figures, 32×32 colour, generated, in the style of shapes

    1,000 irregular outlines: polygons of ten corners at random distances from the centre, sharp or rounded, some with a
    round hole or notch. 30,000 + 2,000 images; see `data.synthetic.portrait`. The classes are the outlines, none of
    which is in `shapes`.
    """

    public_only = True
    name = "figures"
    version: ClassVar[int] = 1
    seed: ClassVar[int] = 1
    resolutions = (8, 256)
    classes = tuple(f"figure {kind}" for kind in range(KINDS))
    n_train = 30_000
    n_test = 2_000
    widths = (PORTRAIT_WIDTH,)

    def paint(self, draws: Draws, labels: NDArray[np.int64], grid: Grid) -> NDArray[np.uint8]:
        """Images of the given kinds: uint8 [b, 3, h, w]."""
        return portrait(draws, grid, figure_distance(labels))


def figure_distance(kinds: NDArray[np.int64]) -> Distance:
    """Signed distances to the figures with these numbers in `OUTLINES`, one per image."""
    corners, rounding, hole, centre = (part[kinds] for part in OUTLINES)
    polygon = [(corner[:, 0, None, None], corner[:, 1, None, None]) for corner in corners.transpose(1, 0, 2)]

    def distance(x: Array, y: Array) -> Array:
        cut_x, cut_y = x - centre[:, 0, None, None], y - centre[:, 1, None, None]
        cut = hole[:, None, None] - np.sqrt(cut_x * cut_x + cut_y * cut_y)
        return np.maximum(polygon_distance(polygon, x, y) - rounding[:, None, None], cut)

    return distance
