"""The contents of generated scenes: objects, their cells and the ground, drawn per record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpbench.core.scene_captions import GROUNDS, SIZES, Scene, Thing, Vocabulary
from dpbench.data.synthetic.procedural import Draws

MOST = 3
"""Maximum number of objects in a scene."""

KINDS = 6
"""Number of shapes, and of colours, in a vocabulary."""

LAYOUT_WIDTH = KINDS + 2 * MOST + 7
"""Number of random numbers that `draw_layout` uses."""


@dataclass(frozen=True)
class Layout:
    """The contents of b scenes.

    Attributes:
        count: [b], number of objects, 1 to `MOST`.
        shapes, colours, sizes: [b, MOST], indices into the vocabulary's shapes and colours and into `SIZES`; the shapes
            of one scene differ.
        rows, columns: [b, MOST], cells of the 3 x 3 grid, all different within a scene.
        ground: [b], indices into `GROUNDS`.
    """

    count: NDArray[np.int64]
    shapes: NDArray[np.int64]
    colours: NDArray[np.int64]
    sizes: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    ground: NDArray[np.int64]

    def scenes(self, vocabulary: Vocabulary) -> list[Scene]:
        """The same in words."""
        sizes = tuple(SIZES)

        def thing(i: int, k: int) -> Thing:
            cell = int(self.rows[i, k]), int(self.columns[i, k])
            return Thing(vocabulary.shapes[self.shapes[i, k]], vocabulary.colours[self.colours[i, k]],
                         sizes[self.sizes[i, k]], cell)  # fmt: skip

        return [
            Scene(tuple(thing(i, k) for k in range(count)), GROUNDS[self.ground[i]])
            for i, count in enumerate(self.count)
        ]


def draw_layout(draws: Draws) -> Layout:
    """Draws the contents of scenes.

    30% have one object, in any cell; 40% have two, at the ends of one row or column; 30% have a third one outside that
    row or column. Everything else is uniform. Uses `LAYOUT_WIDTH` random numbers.
    """
    share = draws.take(1)[:, 0]
    count = 1 + (share >= 0.3) + (share >= 0.7)
    shapes = draws.take(KINDS).argsort(axis=1, kind="stable")[:, :MOST]
    colours = np.stack([draws.integer(KINDS) for _ in range(MOST)], axis=1)
    sizes = np.stack([draws.integer(len(SIZES)) for _ in range(MOST)], axis=1)
    in_column, line = draws.integer(2) == 1, draws.integer(3)
    other_line, along = (line + 1 + draws.integer(2)) % 3, draws.integer(3)
    single = draws.integer(3)
    ends = np.stack([np.where(count == 1, single, 0), np.full_like(line, 2), along], axis=1)
    lines = np.stack([line, line, other_line], axis=1)
    vertical = in_column[:, None]
    rows, columns = np.where(vertical, ends, lines), np.where(vertical, lines, ends)
    return Layout(count, shapes, colours, sizes, rows, columns, draws.integer(len(GROUNDS)))
