"""Bootstrap intervals of scores over images.

A score is a mean over images, a function of such means, or, to first order, a value plus the mean influence of the
images on it (the infinitesimal jackknife; Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982). All
three are resampled in the same way: n images are drawn with replacement, `REPLICATES` times, and the interval is half
the distance between the 2.5% and the 97.5% quantile. It covers the mean of the score over fresh synthetic sets of as
many images, against the same reference set. It does not cover the training of the method (run several seeds), the error
of the reference set, which all rows share, or the bias of a score that depends on the number of images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dpbench.core.metric import Estimate

if TYPE_CHECKING:
    import torch

REPLICATES = 500
FEWEST = 5
"""Fewer images have no interval: so few draws with replacement say nothing about their variation."""

AT_ONCE = 500_000  # maximum number of drawn images in memory: 50 replicates of 10,000 images; at least one replicate

Floats = NDArray[np.floating]
Means = NDArray[np.float64]


def mean(values: Floats, generator: torch.Generator) -> Estimate:
    """The mean of `values`, one number per image [n], with its interval."""
    return around(float(np.mean(values)), values, generator)


def around(value: float, influences: Floats, generator: torch.Generator) -> Estimate:
    """`value` with the interval of the mean of `influences` [n], one per image; adding a constant changes nothing."""
    return Estimate(value, of_means(lambda means: means[:, 0], np.asarray(influences)[:, None], generator).ci95)


def of_means(statistic: Callable[[Means], Means], values: Floats, generator: torch.Generator) -> Estimate:
    """A function of means over images, with its interval; NaN for fewer than `FEWEST` images.

    Args:
        statistic: means of r resampled sets, float64 [r, d] -> values [r].
        values: d numbers per image, [n, d].
        generator: draws the images.
    """
    import torch  # here, so that metrics can be imported without it

    x = torch.as_tensor(np.asarray(values, dtype=np.float64))
    n = len(x)
    value = float(statistic(x.mean(0, keepdim=True).numpy())[0])
    if n < FEWEST:
        return Estimate(value, math.nan)
    drawn = np.empty(REPLICATES)  # preallocated: many small results between large arrays would fragment memory
    together = max(1, AT_ONCE // n)
    for start in range(0, REPLICATES, together):
        rows = min(together, REPLICATES - start)
        chosen = torch.randint(n, (rows, n), generator=generator) + n * torch.arange(rows)[:, None]
        counts = torch.bincount(chosen.flatten(), minlength=rows * n).reshape(rows, n)
        drawn[start : start + rows] = statistic((counts.double() @ x / n).numpy())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(high - low) / 2)
