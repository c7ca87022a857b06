"""Grain: fine texture that vanishes in 4×4 block means, so that only the two finest Haar levels contain it.

A grain repeats a tile of 4×4 pixels, half of them brighter and half darker by the same amount, so that each of its 4×4
windows has mean zero. The tiles are the fifteen balanced ones with the most symmetry: shifts, reflections and negation
turn each into at most eight patterns, and never into another of the fifteen. A grain can therefore be recognised at any
phase, sign and reflection, but not from the coarse band.
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
"""Name -> tile, row by row: # is brighter, . is darker."""

TILES = np.array([[[1 if pixel == "#" else -1 for pixel in row] for row in tile.split()] for tile in GRAINS.values()])
STRENGTH = (0.08, 0.16)  # lowest and highest amplitude; black is 0 and white is 1
GRAIN_WIDTH = 4  # random numbers that one `grain` uses


def grain(draws: Draws, kinds: NDArray[np.int64], grid: Grid) -> Array:
    """Grains of random strength, sign and phase: float32 [b, h, w]. Uses `GRAIN_WIDTH` random numbers.

    A cell of a tile is one pixel at every resolution.

    Args:
        draws: the images' random numbers.
        kinds: indices into `GRAINS`, int64 [b].
        grid: the pixel grid.
    """
    strength = draws.uniform(*STRENGTH) * draws.sign()
    rows, columns = ((np.arange(grid.size) + draws.integer(TILE)[:, None]) % TILE for _ in range(2))  # [b, size]
    tiles = TILES[kinds[:, None, None], rows[:, :, None], columns[:, None, :]]
    return strength * tiles.astype(np.float32)


def engrave(colours: Array, grains: Array, alpha: Array) -> Array:
    """Adds grains to colours that are painted with coverage `alpha`, preserving the mean of every 4×4 block.

    In partly covered blocks, at an outline, the covered part of the grain is centred. Colours are first moved away from
    black and white by the grain's strength, because clipping would change the means.

    Args:
        colours: [b, 3, h, w] in [0, 1].
        grains: [b, h, w]; see `grain`.
        alpha: [b, h, w] in [0, 1].

    Returns:
        [b, 3, h, w].
    """
    room = np.abs(grains)[:, None]
    means = _block_sums(alpha * grains) / np.maximum(_block_sums(alpha), np.float32(1e-6))
    return np.clip(colours, room, 1 - room) + (grains - means)[:, None]


def _block_sums(values: Array) -> Array:
    """The sum over each pixel's 4×4 block, [b, h, w]; the last blocks may extend beyond the image."""
    size = values.shape[-1]
    short = -size % TILE
    padded = np.pad(values, ((0, 0), (0, short), (0, short)))
    cells = [padded[:, row::TILE, column::TILE] for row in range(TILE) for column in range(TILE)]
    sums = sum(cells[1:], start=cells[0])  # sequential, so that the result is the same on every machine
    return np.repeat(np.repeat(sums, TILE, axis=1), TILE, axis=2)[:, :size, :size]
