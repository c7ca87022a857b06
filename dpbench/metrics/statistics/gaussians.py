"""Gaussians fitted to groups of features, for a whole set of images and for its two halves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpbench.core.errors import MissingScore
from dpbench.evaluation.features import Array, Features, require_finite

Floats = NDArray[np.float64]


COVARIANCE_BYTES = 64 * 2**20
"""Covariances of about this size are in memory at a time, several times over."""


class Groups(NamedTuple):
    """A grouping of features [n, rows, ...], with a Gaussian for each group."""

    together: int | None = None
    """Number of consecutive rows in a group; None for all."""
    within: slice = slice(None)
    """The rows; the others are left out."""

    def of(self, block: Array) -> Array:
        """The rows `within` of b images, [b, rows, ...] -> groups of features [b, g, d]."""
        rows = block.shape[1]
        return block.reshape(len(block), rows // (self.together or rows), -1)

    def slices(self, shape: tuple[int, ...]) -> Iterator[Groups]:
        """The same groups in several parts, of covariances that take at most `COVARIANCE_BYTES`, or of one group.

        Args:
            shape: shape of the features of one image.
        """
        first, stop, _ = self.within.indices(shape[0])
        together = self.together or stop - first
        d = together * math.prod(shape[1:])
        rows = together * max(1, COVARIANCE_BYTES // (8 * d * d))
        for start in range(first, stop, rows):
            yield Groups(together, slice(start, min(start + rows, stop)))


WHOLE = Groups()
"""One Gaussian of all features."""
EACH = Groups(together=1)
"""A Gaussian for each row of features."""


class Gaussians(NamedTuple):
    """Gaussians fitted to g groups of d features, float64."""

    mean: Floats  # [g, d]
    covariance: Floats  # [g, d, d]
    samples: int


class Fitted(NamedTuple):
    """Gaussians fitted to a set of images, and to each of its halves."""

    whole: Gaussians
    halves: tuple[Gaussians, Gaussians]


def fit(blocks: Iterable[Array]) -> Gaussians:
    """Mean and unbiased covariance (divided by n - 1) of each group of features, in one pass.

    The first image's features are subtracted before summing, which avoids rounding errors if the mean is far from zero.

    Args:
        blocks: float [b, g, d]; only one block and the moments are in memory at a time.

    Raises:
        MissingScore: fewer than two samples, or a feature that is not finite.
    """
    n = 0
    origin = total = products = np.zeros(())
    for block in blocks:
        features = require_finite(block).swapaxes(0, 1)  # [g, b, d]
        origin = origin if n else features[:, :1].astype(np.float64)
        x = features - origin
        total = total + x.sum(1)
        products = products + x.swapaxes(1, 2) @ x
        n += x.shape[1]
    if n < 2:
        raise MissingScore(f"a covariance needs at least 2 images, not {n}")
    shift = total / n  # [g, d]
    covariance = (products - n * shift[:, :, None] * shift[:, None, :]) / (n - 1)
    return Gaussians(origin[:, 0] + shift, covariance, n)


def fit_halves(features: Features, groups: Groups) -> Fitted:
    """`fit` of stored features for all images and for two random halves, computed once and stored next to the features.

    The halves have equally many images of each class, ± 1.

    Raises:
        MissingScore: fewer than four images, or a feature that is not finite.
    """
    n = len(features)
    if n < 4:
        raise MissingScore(f"a Fréchet distance needs at least 4 images, not {n}")
    first = np.zeros(n, dtype=bool)
    first[features.part(n // 2)] = True

    def make() -> dict[str, Floats]:
        mean, covariance, _ = zip(*(fit(_chosen(features, groups, half)) for half in (first, ~first)), strict=True)
        return {"mean": np.stack(mean), "covariance": np.stack(covariance)}

    start, stop, _ = groups.within.indices(features.shape[0])
    stored = features.derived(f"halves-{start}-{stop}-by-{groups.together or stop - start}", make)
    one, other = (
        Gaussians(mean, covariance, samples)
        for mean, covariance, samples in zip(stored["mean"], stored["covariance"], (n // 2, n - n // 2), strict=True)
    )
    return Fitted(together(one, other), (one, other))


def together(p: Gaussians, q: Gaussians) -> Gaussians:
    """The Gaussians of the union of two sets of images, as `fit` would give them."""
    n, apart = p.samples + q.samples, q.mean - p.mean
    between = p.samples * q.samples / n * apart[:, :, None] * apart[:, None, :]
    products = (p.samples - 1) * p.covariance + (q.samples - 1) * q.covariance + between
    return Gaussians(p.mean + q.samples / n * apart, products / (n - 1), n)


def _chosen(features: Features, groups: Groups, chosen: NDArray[np.bool_]) -> Iterable[Array]:
    """The groups of features of the chosen images, in non-empty blocks."""
    start = 0
    for block in features.blocks(groups.within):
        rows = chosen[start : start + len(block)]
        start += len(block)
        if rows.any():
            yield groups.of(block[rows])
