"""Do train and reference images differ in what a generator knows of them?

A generator that learned only what all images of their kind share treats an image of train like any other. Then train
and reference are two random parts of one set: whatever is computed of each image without asking which part it is in has
the same mean in both, up to how the parts happened to be drawn. This holds for good and bad generators, and for any
features. The interval is of these draws. It does not cover another training run.
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

    The variance is that of all n + m numbers. So is the interval's width: exact at chance, where the two sets are
    alike, and usually too wide elsewhere. Variances of their own would be far too small where only few numbers are not
    0 and, by chance, none of them in the reference. NaN for fewer than `FEWEST` images of either kind.
    """
    value = float(train.mean() - reference.mean())
    n, m = len(train), len(reference)
    if min(n, m) < FEWEST:
        return Estimate(value, math.nan)
    deviation = np.concatenate([train, reference]).std(ddof=1)
    return Estimate(value, float(1.96 * deviation * math.sqrt(1 / n + 1 / m)))
