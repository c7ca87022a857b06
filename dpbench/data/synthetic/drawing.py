"""Outlines drawn in a style (colours, line, hatching, shadow): the pictures of `pictograms` and `drawings`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpbench.data.synthetic.portrait import Distance
from dpbench.data.synthetic.procedural import Array, Draws, Grid, blend, cover, smooth, to_bytes

DRAWING_WIDTH = 4  # random numbers that one drawing uses
SHADOW = 0.14  # how far a shadow falls to the right and down


class Styles(NamedTuple):
    """k styles.

    Attributes:
        paper, fill, line: [k, 3], colours in [0, 1].
        stroke: [k], half the width of the line around the object.
        hatching: [k], share of the paper's colour in the hatches of the fill, in [0, 1].
        frequency: [k], hatches across half of the image.
        cos, sin: [k], direction across the hatches.
        shadow: [k], share of black in the object's shadow, in [0, 1].
    """

    paper: Array
    fill: Array
    line: Array
    stroke: Array
    hatching: Array
    frequency: Array
    cos: Array
    sin: Array
    shadow: Array

    def of(self, kinds: NDArray[np.int64]) -> Styles:
        """The styles with these numbers."""
        return Styles(*(part[kinds] for part in self))


def random_styles(count: int, seed: int) -> Styles:
    """Random styles, the same on every machine."""
    draws = Draws(np.random.Generator(np.random.PCG64(seed)).random((count, 17), dtype=np.float32))
    paper, fill, line = draws.take(3), draws.take(3), draws.take(3)
    stroke, hatching, frequency = (draws.take(1)[:, 0] for _ in range(3))
    cos, sin = (part[:, 0, 0] for part in draws.direction())
    shadow = draws.take(2)
    return Styles(
        paper=paper,
        fill=fill,
        line=line,
        stroke=0.02 + 0.14 * stroke,
        hatching=np.maximum(0, 1.6 * hatching - 0.6),
        frequency=1.5 + 3 * frequency,
        cos=cos,
        sin=sin,
        shadow=np.where(shadow[:, 0] < 0.5, 0.7 * shadow[:, 1], np.float32(0)),
    )


def drawing(draws: Draws, grid: Grid, styles: Styles, distance: Distance) -> NDArray[np.uint8]:
    """Images of one object each: uint8 [b, 3, h, w]. Uses `DRAWING_WIDTH` random numbers.

    The object is 60% to 85% as wide as the image and tilted by at most 20°.

    Args:
        draws: the images' random numbers, which determine size, position and tilt.
        grid: the pixel grid.
        styles: one per image.
        distance: the object's outline; it fills about [-1, 1]².
    """
    size = draws.uniform(0.6, 0.85)
    left, top = (1 - size) * draws.uniform(-0.8, 0.8), (1 - size) * draws.uniform(-0.8, 0.8)
    cos, sin = draws.rotation(0.175)

    def outline(shift: float) -> Array:
        x, y = grid.x - left - shift, grid.y - top - shift
        return distance((cos * x + sin * y) / size, (cos * y - sin * x) / size) * size

    found, stroke = outline(0.0), styles.stroke[:, None, None]
    image = np.broadcast_to(_colour(styles.paper), (len(found), 3, grid.size, grid.size))
    image = blend(
        image, np.zeros_like(image), styles.shadow[:, None, None] * cover(outline(SHADOW) - stroke, grid.pixel)
    )
    across = styles.cos[:, None, None] * grid.x + styles.sin[:, None, None] * grid.y
    position = styles.frequency[:, None, None] * across
    hatch = smooth(np.abs(2 * (position - np.floor(position)) - 1))
    fill = blend(_colour(styles.fill), _colour(styles.paper), styles.hatching[:, None, None] * hatch)
    image = blend(image, fill, cover(found, grid.pixel))
    return to_bytes(blend(image, _colour(styles.line), cover(np.abs(found) - stroke, grid.pixel)))


def _colour(colours: Array) -> Array:
    return colours[:, :, None, None]
