"""Grain: fine texture that vanishes in 4×4 block means: a Haar transform has all of it in its two finest levels.

A grain repeats a tile of 4×4 pixels, half of them brighter and half darker by the same amount. Whatever part of it a
4×4 window shows, that part has mean zero. The tiles are the fifteen balanced ones with the most symmetry: shifting,
mirroring and negating turns each into at most eight patterns, and never into another of the fifteen. So a grain is
recognised at any phase, sign and mirroring, and by nothing that a coarse band holds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dpbench.data.synthetic.procedural import Array, Draws, Grid

TILE = 4  # pixels per side: the block of a Haar transform of two levels
GRAINS = {
    "rows": "#### .... #### ....",
    "columns": "#.#. #.#. #.#. #.#.",
    "checks": "#.#. .#.# #.#. .#.#",
    "wide rows": "#### #### .... ....",
    "wide columns": "##.. ##.. ##.. ##..",
    "wide checks": "##.. ##.. ..## ..##",
    "lying bricks": "##.. ..## ##.. ..##",
    "standing bricks": "#.#. #.#. .#.# .#.#",
    "lying waves": "#### #.#. .... .#.#",
    "standing waves": "##.. #..# ##.. #..#",
    "diagonals": "##.. #..# ..## .##.",
    "lying combs": "#### #.#. .... #.#.",
    "standing combs": "###. .#.. ###. .#..",
    "lying slips": "###. ...# ###. ...#",
    "standing slips": "#.#. #.#. #.#. .#.#",
}
"""Name -> tile, row by row: # for brighter, . for darker."""

TILES = np.array([[[1 if pixel == "#" else -1 for pixel in row] for row in tile.split()] for tile in GRAINS.values()])
STRENGTH = (0.08, 0.16)  # lowest and highest, of a range of 1 from black to white
GRAIN_WIDTH = 4  # numbers that one `grain` takes from its draws


def grain(draws: Draws, kinds: NDArray[np.int64], grid: Grid) -> Array:
    """Grains of random strength, sign and phase: float32 [b, h, w]. Takes `GRAIN_WIDTH` numbers.

    A tile's cells are pixels at every resolution.

    Args:
        draws: the images' random numbers.
        kinds: which of `GRAINS`, int64 [b].
        grid: the pixels.
    """
    strength = draws.uniform(*STRENGTH) * draws.sign()
    rows, columns = ((np.arange(grid.size) + draws.integer(TILE)[:, None]) % TILE for _ in range(2))  # [b, size]
    tiles = TILES[kinds[:, None, None], rows[:, :, None], columns[:, None, :]]
    return strength * tiles.astype(np.float32)


def engrave(colours: Array, grains: Array, alpha: Array) -> Array:
    """Adds grains to what is painted with coverage `alpha`, such that no 4×4 block of the painting changes its mean.

    In blocks that are covered in part, at an outline, the covered part of the grain is centred. Colours are held back
    from black and white by the grain's strength first, because clipping would change means.

    Args:
        colours: [b, 3, h, w].
        grains: [b, h, w], as `grain` makes them.
        alpha: [b, h, w] in [0, 1].

    Returns:
        [b, 3, h, w].
    """
    room = np.abs(grains)[:, None]
    means = _block_sums(alpha * grains) / np.maximum(_block_sums(alpha), np.float32(1e-6))
    return np.clip(colours, room, 1 - room) + (grains - means)[:, None]


def _block_sums(values: Array) -> Array:
    # In the place of each pixel the sum over its 4x4 block, [b, h, w]; the last blocks may reach beyond the image.
    size = values.shape[-1]
    short = -size % TILE
    padded = np.pad(values, ((0, 0), (0, short), (0, short)))
    cells = [padded[:, row::TILE, column::TILE] for row in range(TILE) for column in range(TILE)]
    sums = sum(cells[1:], start=cells[0])  # one after the other: the same on every machine
    return np.repeat(np.repeat(sums, TILE, axis=1), TILE, axis=2)[:, :size, :size]
