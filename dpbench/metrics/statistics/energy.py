"""The energy distance of two sets of numbers (Székely and Rizzo, J. Stat. Plan. Inference 143, 2013)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def relative_energy(x: Numbers, y: Numbers, least: float) -> tuple[Numbers, Numbers]:
    """The energy distance of each column, relative to the distance of the two sets.

        (2 E|x - y| - E|x - x'| - E|y - y'|) / (2 E|x - y| + least)

    x and x' are two different rows of one set, so the numerator is unbiased: about 0 for samples of one distribution,
    and sometimes slightly negative. With `least` = 0, the value for two different constants is 1.

    Args:
        x: [n, d], n of at least 2.
        y: [m, d], m of at least 2.
        least: a small distance; above 0, so that the value for equal constants is defined.

    Returns:
        The values [d], and the influence of each row of `x` on them, with mean 0: [n, d].
    """
    across = mean_distances(x, y)
    own, own_y = (mean_distances(z, z) * len(z) / (len(z) - 1) for z in (x, y))
    distance = 2 * across.mean(0)
    scale = distance + least
    value = (distance - own.mean(0) - own_y.mean(0)) / scale
    influences = 2 * ((1 - value) * across - own) / scale
    return value, influences - influences.mean(0)


def mean_distances(x: Numbers, y: Numbers) -> Numbers:
    """The mean of |x - y| over the rows of `y` [m, d], for each row of `x` [n, d]: [n, d]; n log m steps per column."""
    m, ordered = len(y), np.sort(y, axis=0)
    sums = np.concatenate([np.zeros((1, y.shape[1])), np.cumsum(ordered, axis=0)])
    below = np.stack([np.searchsorted(o, c) for o, c in zip(ordered.T, x.T, strict=True)], axis=1)  # how many y
    return x * (2 * below / m - 1) + (sums[-1] - 2 * np.take_along_axis(sums, below, axis=0)) / m
