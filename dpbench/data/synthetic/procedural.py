"""Drawing primitives of the generated datasets: random draws, coverage, textured fills.

Everything is computed for many images at once, in float32, with operations that IEEE 754 rounds exactly (+ - * /
sqrt, comparisons, floor). Sines, exponentials, matrix products and long sums are avoided, as their last bit depends on
the processor. Every machine therefore renders the same bytes.

Coordinates are in [-1, 1] in both directions, y downwards; an image shows the same scene at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]  # float32 at run time, as float32 arrays are only combined with Python numbers

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as PIL's "L"
LATTICES = (4, 8, 16)  # points per side of a fill's noise lattices, coarse to fine
FILL_WIDTH = sum(points * points for points in LATTICES) + 14  # random numbers that one `fill` uses


class Draws:
    """A cursor over the random numbers of a batch of images: each call uses the next columns of `rows`.

    Args:
        rows: float32 [b, width], uniform in [0, 1), one row per image.
    """

    def __init__(self, rows: Array):
        self._rows = rows
        self._next = 0

    def take(self, count: int) -> Array:
        """The next `count` columns: [b, count] in [0, 1)."""
        start, self._next = self._next, self._next + count
        if self._next > self._rows.shape[1]:
            raise ValueError(f"only {self._rows.shape[1]} numbers were drawn per image")
        return self._rows[:, start : self._next]

    def uniform(self, low: float, high: float) -> Array:
        """One number per image in [low, high), shaped to broadcast against pixels: [b, 1, 1]."""
        return low + (high - low) * self.take(1)[:, :, None]

    def sign(self) -> Array:
        """-1 or 1 per image, with equal probability: [b, 1, 1]."""
        return np.where(self.take(1)[:, :, None] < 0.5, np.float32(-1), np.float32(1))

    def integer(self, n: int) -> NDArray[np.int64]:
        """A uniform integer in {0, ..., n - 1} per image: [b]."""
        return (self.take(1)[:, 0] * n).astype(np.int64)

    def rotation(self, limit: float) -> tuple[Array, Array]:
        """Cosine and sine of an angle 2 arctan(t) with t uniform in ±limit (0.414: ±45°): two [b, 1, 1]."""
        t = self.uniform(-limit, limit)
        return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)

    def direction(self) -> tuple[Array, Array]:
        """A unit vector, almost uniform over a half circle: two [b, 1, 1]."""
        cos, sin = self.rotation(0.41421357)
        turned = self.take(1)[:, :, None] < 0.5
        return np.where(turned, cos, sin), np.where(turned, sin, -cos)


@dataclass(frozen=True)
class Grid:
    """The pixel centres of a square image with `size` pixels per side."""

    size: int

    @cached_property
    def x(self) -> Array:
        """[1, size]: left to right, in (-1, 1)."""
        return ((2 * np.arange(self.size, dtype=np.float32) + 1) / np.float32(self.size) - 1)[None, :]

    @cached_property
    def y(self) -> Array:
        """[size, 1]: top to bottom, in (-1, 1)."""
        return self.x.T

    @property
    def pixel(self) -> float:
        """Width of a pixel in coordinates."""
        return 2 / self.size

    def steps(self, points: int) -> tuple[NDArray[np.int64], Array]:
        """Each pixel's left neighbour among `points` lattice points along a side, and the right one's weight."""
        position = (self.x[0] + 1) * np.float32((points - 1) / 2)
        left = position.astype(np.int64)
        return left, smooth(position - left)


def smooth(t: Array) -> Array:
    """The smooth step 3t² - 2t³, from [0, 1] to [0, 1]."""
    return t * t * (3 - 2 * t)


def cover(distance: Array, pixel: float) -> Array:
    """The covered share of each pixel, in [0, 1], from its signed distance (negative inside); antialiases outlines."""
    return np.clip(0.5 - distance / np.float32(pixel), 0, 1)


def blend(below: Array, above: Array, alpha: Array) -> Array:
    """Paints `above` over `below`, both [b, 3, h, w], with coverage alpha [b, h, w]."""
    return below + alpha[:, None] * (above - below)


def to_bytes(rgb: Array) -> NDArray[np.uint8]:
    """[b, 3, h, w] in [0, 1] (values outside are clipped) -> uint8."""
    return (np.clip(rgb, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)


def colour(draws: Draws, luminance: Array, saturation: float) -> Array:
    """A random colour of the given luminance [b, 1, 1] before clipping: [b, 3, 1, 1] in [0, 1]. Uses 3 numbers."""
    chroma = 2 * draws.take(3) - 1  # [b, 3]
    weighted = chroma * LUMINANCE
    chroma = chroma - (weighted[:, :1] + weighted[:, 1:2] + weighted[:, 2:])
    return np.clip(luminance[:, None] + saturation * chroma[:, :, None, None], 0, 1)


def noise(draws: Draws, grid: Grid, points: int) -> Array:
    """A smooth random field in [0, 1] through `points`² lattice values: [b, h, w]. Uses `points`² numbers."""
    lattice = draws.take(points * points).reshape(-1, points, points)
    left, weight = grid.steps(points)
    rows = lattice[:, left] + weight[:, None] * (lattice[:, left + 1] - lattice[:, left])
    start = rows[:, :, left]
    return start + weight * (rows[:, :, left + 1] - start)


def _wave(t: Array) -> Array:
    """A wave of period 1 between 0 and 1, similar to a raised cosine."""
    return smooth(np.abs(2 * (t - np.floor(t)) - 1))


def _spots(u: Array, v: Array) -> Array:
    du, dv = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    return smooth(np.clip(1.2 - 5 * (du * du + dv * dv), 0, 1))


def _checks(u: Array, v: Array) -> Array:
    return 0.5 + 0.5 * (2 * _wave(u) - 1) * (2 * _wave(v) - 1)


PATTERNS: tuple[Callable[[Array, Array, Array, Array], Array], ...] = (
    lambda u, v, coarse, fine: coarse,
    lambda u, v, coarse, fine: fine,
    lambda u, v, coarse, fine: _wave(u),
    lambda u, v, coarse, fine: _checks(u, v),
    lambda u, v, coarse, fine: _spots(u, v),
)
"""Clouds, rough ground, stripes, checks, spots: (u, v, coarse noise, fine noise) -> [b, h, w] in [0, 1]."""


def ground(draws: Draws, grid: Grid) -> Array:
    """A background: dark, nearly grey, textured. [b, 3, h, w]; uses 1 + `FILL_WIDTH` numbers."""
    return fill(draws, grid, draws.uniform(0.08, 0.3), saturation=0.08, strength=0.5)


def figure(draws: Draws, grid: Grid) -> Array:
    """The fill of an object: brighter, of any colour, textured. [b, 3, h, w]; uses 1 + `FILL_WIDTH` numbers."""
    return fill(draws, grid, draws.uniform(0.55, 0.85), saturation=0.4, strength=0.5)


def fill(
    draws: Draws,
    grid: Grid,
    luminance: Array,
    saturation: float,
    strength: float,
    kind: NDArray[np.int64] | None = None,
) -> Array:
    """Random textured colour: [b, 3, h, w], nominally in [0, 1]. Uses `FILL_WIDTH` numbers.

    Args:
        draws: the images' random numbers.
        grid: the pixel grid.
        luminance: mean brightness of each image, [b, 1, 1].
        saturation: maximum distance of the colour from grey.
        strength: scale of the texture's contrast.
        kind: number of each image's pattern, [b]; drawn if it is None, otherwise one random number less is used.
    """
    if kind is None:
        kind = draws.integer(len(PATTERNS))  # 1
    low, middle, high = (noise(draws, grid, points) for points in LATTICES)
    coarse, fine = 0.65 * low + 0.35 * middle, 0.3 * middle + 0.7 * high
    cos, sin = draws.direction()  # 2
    frequency, warp = draws.uniform(2, 4.5), draws.uniform(0, 0.6)  # 2
    along, across = draws.uniform(0, 1), draws.uniform(0, 1)  # 2
    pattern = np.empty_like(coarse)
    for index, paint in enumerate(PATTERNS):
        of = kind == index
        u = frequency[of] * (cos[of] * grid.x + sin[of] * grid.y) + (along[of] + warp[of] * low[of])
        v = frequency[of] * (cos[of] * grid.y - sin[of] * grid.x) + (across[of] + warp[of] * middle[of])
        pattern[of] = paint(u, v, coarse[of], fine[of])

    base = colour(draws, luminance, saturation)  # 3
    swing = 2 * draws.take(3)[:, :, None, None] - 1  # 3: the texture's second colour, relative to the first
    amount = strength * draws.uniform(0.1, 0.4)[:, None]  # 1
    return base + amount * (0.6 + 0.4 * swing) * (pattern[:, None] - 0.5)
