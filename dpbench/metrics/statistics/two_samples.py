"""The difference between train and reference images in one number per image, and its interval by chance.

A generator that memorises nothing treats an image of train like any other image of its distribution. Train and
reference are then two random parts of one set. Any number that is computed per image, without knowing the image's part,
has the same expectation in both parts, for good and bad generators and any features. The interval covers the random
choice of the parts, but not another training run.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpbench.core.metric import Estimate
from dpbench.evaluation.intervals import FEWEST

Floats = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]


def difference(train: Floats, reference: Floats) -> Estimate:
    """The mean of `train` [n] minus that of `reference` [m], one number per real image; 0 is chance.

    The interval uses the variance of all n + m numbers. It is right at chance, where the two sets are alike, and
    usually too wide elsewhere. Separate variances would be far too small if only a few numbers are not 0, and none of
    these happens to be in the reference. The interval is NaN for fewer than `FEWEST` images of either kind.
    """
    value = float(train.mean() - reference.mean())
    n, m = len(train), len(reference)
    if min(n, m) < FEWEST:
        return Estimate(value, math.nan)
    deviation = np.concatenate([train, reference]).std(ddof=1)
    return Estimate(value, float(1.96 * deviation * math.sqrt(1 / n + 1 / m)))
