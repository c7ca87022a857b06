"""Near copies: synthetic images that are much closer to one real image than to any other.

For a real image, or one of an honest generator, the nearest of many real images is not much closer than the next ones.
For a copy that was changed a little, it is. After Yoon et al. (Diffusion Probabilistic Models Generalize when They Fail
to Memorize, 2023), who compare with the second neighbour. With the fifth, near copies of an image are still detected if
train has up to four copies of it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpbench.core.metric import Estimate
from dpbench.evaluation.features import Array
from dpbench.evaluation.stratified import Indices
from dpbench.metrics.statistics.two_samples import difference

NEIGHBOURS = 5
"""The neighbour that the nearest one is compared with."""
RATIO = 0.5
"""A near copy is closer to its original than this share of the distance to that neighbour."""


def copies_of(indices: Indices, distances: Array, n: int) -> NDArray[np.integer[Any]]:
    """The number of near copies of each of n real images: [n].

    Args:
        indices: the `NEIGHBOURS` nearest real images of each synthetic image, nearest first, [q, NEIGHBOURS].
        distances: their distances, [q, NEIGHBOURS].
        n: number of real images.
    """
    is_copy = distances[:, 0] < RATIO * distances[:, -1]
    return np.bincount(indices[is_copy, 0], minlength=n)


def excess(train: NDArray[np.integer[Any]], reference: NDArray[np.integer[Any]], q: int) -> Estimate:
    """The share of synthetic images that are near copies of train images, minus the share expected by chance.

    The latter is estimated from the near copies of reference images; see `two_samples`. 0 is chance. 1 means that all
    synthetic images copy train; if all copy the reference, the value is -n / m. Without any near copy, the interval is
    that for one near copy.

    Args:
        train: number of near copies of each train image, [n].
        reference: the same for the reference images, [m].
        q: number of synthetic images.
    """
    found = difference(train, reference)
    scale, of_one = len(train) / q, 1.96 * math.sqrt(len(train) / len(reference)) / q
    return Estimate(scale * found.value, max(scale * found.ci95, of_one))
