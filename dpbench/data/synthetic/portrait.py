"""One bright object on a dark ground, both softly shaded: the pictures of `shapes` and `figures`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dpbench.data.synthetic.procedural import Array, Draws, Grid, blend, colour, cover, noise, to_bytes

LATTICE = 3  # points per side of the noise that shades an area
SHADE_WIDTH = 3 + LATTICE * LATTICE  # random numbers that one shaded area uses
PORTRAIT_WIDTH = 4 + 2 * (1 + SHADE_WIDTH)  # random numbers that one portrait uses

Distance = Callable[[Array, Array], Array]
"""(x, y) in the object's own frame, each [b, h, w] -> signed distance [b, h, w], negative inside."""


def portrait(draws: Draws, grid: Grid, distance: Distance) -> NDArray[np.uint8]:
    """Images of one object each: uint8 [b, 3, h, w]. Uses `PORTRAIT_WIDTH` random numbers.

    The object is 65% to 90% as wide as the image, tilted by at most 10°, bright and of any hue. The ground is dark and
    nearly grey.

    Args:
        draws: the images' random numbers.
        grid: the pixel grid.
        distance: the object's outline; it fills about [-1, 1]².
    """
    size = draws.uniform(0.65, 0.9)
    x, y = (axis - (1 - size) * draws.uniform(-0.7, 0.7) for axis in (grid.x, grid.y))
    cos, sin = draws.rotation(0.09)
    x, y = (cos * x + sin * y) / size, (cos * y - sin * x) / size
    ground = _shaded(draws, grid, draws.uniform(0.05, 0.2), saturation=0.08, strength=0.15)
    figure = _shaded(draws, grid, draws.uniform(0.6, 0.8), saturation=0.4, strength=0.25)
    return to_bytes(blend(ground, figure, cover(distance(x, y) * size, grid.pixel)))


def _shaded(draws: Draws, grid: Grid, luminance: Array, saturation: float, strength: float) -> Array:
    """A random colour with smooth light and shade: [b, 3, h, w]. Uses `SHADE_WIDTH` random numbers."""
    light = strength * (noise(draws, grid, LATTICE) - 0.5)
    return colour(draws, luminance, saturation) + light[:, None]
