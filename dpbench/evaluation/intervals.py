"""Bootstrap intervals over images: how far another draw of as many images would move a score.

A score is a mean over images, a function of such means, or, near the truth, its value plus the mean of every image's
influence on it (the infinitesimal jackknife; Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982). All
three are resampled alike: n images are drawn with replacement, `REPLICATES` times, and half the distance between the
2.5% and the 97.5% quantile is the interval. It says nothing of another training of the method: that is what seeds are
for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dpbench.core.metric import Estimate

if TYPE_CHECKING:
    import torch

REPLICATES = 500
AT_ONCE = 500_000  # drawn images that are in memory together: 50 replicates of 10,000, at least one

Floats = NDArray[np.floating]
Means = NDArray[np.float64]


def mean(values: Floats, generator: torch.Generator) -> Estimate:
    """The mean of one number per image [n]."""
    return around(float(np.mean(values)), values, generator)


def around(value: float, influences: Floats, generator: torch.Generator) -> Estimate:
    """A score that changes with the mean of `influences` [n], one per image; only their spread counts."""
    return Estimate(value, of_means(lambda means: means[:, 0], np.asarray(influences)[:, None], generator).ci95)


def of_means(statistic: Callable[[Means], Means], values: Floats, generator: torch.Generator) -> Estimate:
    """A function of means over images.

    Args:
        statistic: float64 [r, d], r resampled sets' means, -> [r].
        values: [n, d], d numbers per image.
        generator: decides who is drawn.
    """
    import torch  # here, so that metrics can be imported without it

    x = torch.as_tensor(np.asarray(values, dtype=np.float64))
    n = len(x)
    drawn = np.empty(REPLICATES)  # one array: small results kept between large ones would scatter the heap
    together = max(1, AT_ONCE // n)
    for start in range(0, REPLICATES, together):
        rows = min(together, REPLICATES - start)
        chosen = torch.randint(n, (rows, n), generator=generator) + n * torch.arange(rows)[:, None]
        counts = torch.bincount(chosen.flatten(), minlength=rows * n).reshape(rows, n)
        drawn[start : start + rows] = statistic((counts.double() @ x / n).numpy())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(statistic(x.mean(0, keepdim=True).numpy())[0]), float(high - low) / 2)
