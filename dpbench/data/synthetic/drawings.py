"""A public source with many drawing styles, for methods that learn a style."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.data.synthetic.drawing import DRAWING_WIDTH, drawing, random_styles
from dpbench.data.synthetic.figures import KINDS, figure_distance
from dpbench.data.synthetic.procedural import Draws, Grid
from dpbench.data.synthetic.rendering import RenderedDataset

STYLES = random_styles(300, seed=2)


class Drawings(RenderedDataset):
    """Public source: figures drawn in 300 styles, 32×32 colour, generated; for pictograms

    The irregular outlines of `figures`, in random colours, lines, hatchings and shadows: 30,000 + 2,000 images. The
    classes are the styles.
    """

    public_only = True
    name = "drawings"
    version: ClassVar[int] = 1
    seed: ClassVar[int] = 7
    resolutions = (8, 256)
    classes = tuple(f"style {number}" for number in range(len(STYLES.stroke)))
    n_train = 30_000
    n_test = 2_000
    widths = (1 + DRAWING_WIDTH,)

    def paint(self, draws: Draws, labels: NDArray[np.int64], grid: Grid) -> NDArray[np.uint8]:
        """Images in the given styles: uint8 [b, 3, h, w]."""
        return drawing(draws, grid, STYLES.of(labels), figure_distance(draws.integer(KINDS)))
