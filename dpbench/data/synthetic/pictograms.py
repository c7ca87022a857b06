"""A small set of pictures in one style, as style-adaptation methods expect."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.data.synthetic.drawing import DRAWING_WIDTH, drawing, random_styles
from dpbench.data.synthetic.outlines import SHAPES
from dpbench.data.synthetic.procedural import Draws, Grid
from dpbench.data.synthetic.rendering import RenderedDataset
from dpbench.data.synthetic.shapes import shape_distance

STYLE = random_styles(1, seed=15)


class Pictograms(RenderedDataset):
    """A few pictograms of one style, 32×32 colour, 150 + 1,000, generated

    The ten shapes of `shapes`, without labels, all drawn in the same colours, line and hatching. The style is not one
    of `drawings`. The set is as small as the artist's work and the pictograms on which DPAgg-TI was published.
    """

    name = "pictograms"
    version: ClassVar[int] = 1
    seed: ClassVar[int] = 6
    resolutions = (8, 256)
    classes = None
    n_train = 150
    n_test = 1_000
    widths = (1 + DRAWING_WIDTH,)

    def paint(self, draws: Draws, labels: NDArray[np.int64], grid: Grid) -> NDArray[np.uint8]:
        """Images of random shapes: uint8 [b, 3, h, w]."""
        kinds = draws.integer(len(SHAPES))
        return drawing(draws, grid, STYLE.of(np.zeros_like(kinds)), shape_distance(kinds))
