"""The default dataset: generated images of ten shapes, available offline."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.data.synthetic.outlines import SHAPES
from dpbench.data.synthetic.portrait import PORTRAIT_WIDTH, Distance, portrait
from dpbench.data.synthetic.procedural import Array, Draws, Grid
from dpbench.data.synthetic.rendering import RenderedDataset


class Shapes(RenderedDataset):
    """Ten shapes, 32×32 colour, generated (the default)

    A disc, ring, square, triangle, star, cross, crescent, heart, arrow or bolt, 50,000 + 10,000 images; see
    `data.synthetic.portrait`. A record depends only on its position in the split.
    """

    name = "shapes"
    version: ClassVar[int] = 3
    seed: ClassVar[int] = 2
    resolutions = (8, 128)  # 2.5 GB at 128
    classes = tuple(SHAPES)
    n_train = 50_000
    n_test = 10_000
    widths = (PORTRAIT_WIDTH,)

    def paint(self, draws: Draws, labels: NDArray[np.int64], grid: Grid) -> NDArray[np.uint8]:
        """Images of the given classes: uint8 [b, 3, h, w]."""
        return portrait(draws, grid, shape_distance(labels))


def shape_distance(kinds: NDArray[np.int64]) -> Distance:
    """Signed distances to the shapes with these numbers in `SHAPES`, one per image."""

    def distance(x: Array, y: Array) -> Array:
        found = np.empty(x.shape, dtype=np.float32)
        for kind, shape in enumerate(SHAPES.values()):
            of = kinds == kind
            found[of] = shape(x[of], y[of])
        return found

    return distance
