"""A sheet of samples of chosen rows: one grid per row of the leaderboard, the same condition in the same cell."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DpbenchError
from dpbench.core.specs import DatasetSpec
from dpbench.results.cell_images import cells_of_images, conditions_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 0.32  # inches
GAP = 0.25  # inches between grids
LETTERS = 6  # letters of a heading per cell
LONGEST = 200  # inches; no PDF page is longer, and no picture of 300 dpi


class Grid(NamedTuple):
    """The images under one heading: samples, or real images."""

    heading: str
    images: ImageDataset


def sample_sheet(grids: Sequence[Grid], columns: int, rows: int) -> Figure:
    """The first images of each condition of every grid, side by side, without selection.

    Args:
        grids: at least one, all of one dataset and resolution.
        columns: images of each condition.
        rows: number of conditions, from the first on; without conditions, rows of images.

    Raises:
        DpbenchError: the sheet would be too large.
    """
    from matplotlib.figure import Figure

    conditions = conditions_of(grids[0].images)[:rows]
    shown = len(conditions) or rows
    width, height = columns * CELL, shown * CELL
    inches = len(grids) * (width + GAP), height + 0.4
    if max(inches) > LONGEST:
        size = " × ".join(f"{side:,.0f}" for side in inches)
        raise DpbenchError(f"a sheet of {size} inches is too large: choose fewer rows, or fewer images (--count)")
    pictures = [
        _picture(cells_of_images(grid.images, conditions, rows, columns), grid.images.spec, columns) for grid in grids
    ]
    figure = Figure(figsize=inches, layout="constrained")
    for number, (axes, picture, grid) in enumerate(
        zip(figure.subplots(1, len(grids), squeeze=False).flat, pictures, grids, strict=True)
    ):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(fill(grid.heading, max(8, columns * LETTERS)), fontsize=7)
        axes.set_xticks([])
        side = grid.images.spec.resolution
        labels = conditions if number == 0 else []
        axes.set_yticks([(row + 0.5) * side for row in range(len(labels))], labels, fontsize=7)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def _picture(cells: Sequence[Sequence[NDArray[np.uint8]]], spec: DatasetSpec, columns: int) -> NDArray[np.uint8]:
    """Rows of cells as one picture, white where there are none: uint8 [h, w] or [h, w, 3]."""
    side, colours = spec.resolution, (3,) if spec.channels == 3 else ()
    picture = np.full((len(cells) * side, columns * side, *colours), 255, np.uint8)
    for row, found in enumerate(cells):
        for column, cell in enumerate(found):
            picture[row * side : (row + 1) * side, column * side : (column + 1) * side] = cell
    return picture
