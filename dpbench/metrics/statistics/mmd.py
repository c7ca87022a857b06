"""Maximum mean discrepancy (Gretton et al., JMLR 13, 2012) and the influence of each image on it.

An image's influence is estimated from the same images. Near 0, the errors of these estimates make the variance of the
influences up to twice that of the discrepancy (a degenerate U-statistic). The interval needs that width: there, the
discrepancy is skewed, and its estimated spread is small when the discrepancy itself is small.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.evaluation.features import Array, Features, require_finite

ROWS = 1000
"""Number of rows of a kernel matrix that are in memory at the same time."""

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(inner products x·y, |x|², |y|²), which broadcast -> kernel values."""


def gaussian(sigma: float) -> Kernel:
    """exp(-|x - y|² / 2σ²) - 1; the constant does not change the MMD and reduces rounding errors of small distances."""
    return lambda products, x, y: torch.expm1((products - x / 2 - y / 2) / sigma**2)


def cubic(dimensions: int) -> Kernel:
    """(x·y / d + 1)³, of float64."""
    return lambda products, *_: (products.double() / dimensions + 1) ** 3


def mmd(x: Array, y: Array, kernel: Kernel, unbiased: bool) -> tuple[float, Tensor]:
    """The squared maximum mean discrepancy of two sets of features.

    Args:
        x: [n, d].
        y: [m, d].
        unbiased: leaves out the pairs of an image with itself (U-statistic); otherwise all pairs count (V-statistic).

    Returns:
        The value, and the influence of each image of `x` on it, float64 [n]: twice the witness function, centred.

    Raises:
        MissingScore: a feature is not finite.
    """
    p, q = torch.from_numpy(require_finite(x)), torch.from_numpy(require_finite(y))
    own, across, other = _means(p, p, kernel), _means(p, q, kernel), _means(q, q, kernel)
    if unbiased:
        own, other = _without_itself(own, p, kernel), _without_itself(other, q, kernel)
    witness = own - across
    return float(own.mean() + other.mean() - 2 * across.mean()), 2 * (witness - witness.mean())


def mmd_of_subsets(
    x: Features, y: Features, kernel: Kernel, subsets: int, size: int, generator: torch.Generator
) -> tuple[float, NDArray[np.float64]]:
    """The unbiased squared discrepancy, averaged over random subsets drawn without replacement.

    Args:
        x: features of n images.
        y: features of the other images.
        kernel: see `Kernel`.
        subsets: number of subsets.
        size: images of each set in a subset, at most the size of the smaller set.
        generator: draws the subsets.

    Returns:
        The value, and the influence of each image of `x` on it, float64 [n].

    Raises:
        MissingScore: a feature is not finite.
    """
    values, influences = [], np.zeros(len(x))
    for _ in range(subsets):
        chosen, others = (torch.randperm(len(z), generator=generator)[:size].numpy() for z in (x, y))
        value, influence = mmd(x.rows(chosen), y.rows(others), kernel, unbiased=True)
        values.append(value)
        influences[chosen] += influence.numpy() * len(x) / (subsets * size)
    return float(np.mean(values)), influences


def _means(x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    """The mean over `y` of the kernel with each of `x`: float64 [n]."""
    squares = y.square().sum(1)
    return torch.cat(
        [
            kernel(rows @ y.T, rows.square().sum(1, keepdim=True), squares).mean(1, dtype=torch.float64)
            for rows in x.split(ROWS)
        ]
    )


def _without_itself(means: Tensor, x: Tensor, kernel: Kernel) -> Tensor:
    n, squares = len(x), x.square().sum(1)
    return (n * means - kernel(squares, squares, squares)) / (n - 1)
