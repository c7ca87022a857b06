"""The Fréchet distance between Gaussians fitted to two sets of features, and the influence of each image on it.

    d² = |m₁ - m₂|² + tr S₁ + tr S₂ - 2 tr (S₁ S₂)^{1/2}

(Dowson and Landau, 1982; as a score of generators: Heusel et al., arXiv 1706.08500.) For any factors S₁ = A Aᵀ and
S₂ = B Bᵀ the trace of (S₁ S₂)^{1/2} is the sum of the singular values σ of K = AᵀB, which needs no matrix square root
and is always real. With Cholesky factors, computing σ² as eigenvalues of K Kᵀ is fast, but a σ near 0 loses half of its
digits. If that could affect d², or if a covariance is rank-deficient, pivoted Cholesky factors are used, which have
as many columns as the rank, and a singular value decomposition, which loses no digits.

To first order, more weight on an image x of the first set changes d² by

    2 (m₁ - m₂)·y + yᵀ(I - T) y + constant,   y = x - m₁

where T, the optimal transport map from the first Gaussian to the second, is A⁺ᵀ (K Kᵀ)^{1/2} A⁺. The pseudo-inverse is
sufficient if S₁ is rank-deficient, since resampled images stay in its range. With few images per feature these
first-order intervals are wider than the spread over independent sets: by a fifth to a third if there are about as many
images as features. A bootstrap that refits the Gaussians is then nearly twice as wide as that spread.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Estimate
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.caveats import Caveat
from dpbench.evaluation.features import Array, Features, require_finite

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]

EPSILON = float(np.finfo(np.float64).eps)
"""The error of a symmetric matrix's eigenvalues, relative to the largest one."""
LOST = 1e-5
"""Estimated relative rounding error of d² above which the slower computation is used."""


class Groups(NamedTuple):
    """A grouping of features; one Gaussian is fitted to each group."""

    name: str
    """The moments are stored under this name next to the features."""
    of: Callable[[Array], Array]
    """Block of stored features [b, ...] -> groups of features [b, g, d]."""


WHOLE = Groups("whole", lambda block: block.reshape(len(block), 1, -1))
"""One Gaussian of all features."""
EACH = Groups("each", lambda block: block)
"""One Gaussian for each group of features that are stored as [n, g, d]."""


class Gaussians(NamedTuple):
    """Gaussians fitted to g groups of d features, float64."""

    mean: Floats  # [g, d]
    covariance: Floats  # [g, d, d]
    samples: int


class Transport(NamedTuple):
    """The optimal transport from one set of Gaussians to another."""

    distance: Floats
    """d² of each group: float64 [g], at least 0."""
    mean: Floats  # [g, d], m₁
    shift: Floats  # [g, d], m₁ - m₂
    root: Floats  # [g, d, r], a factor of T

    def influences(self, x: Array) -> Array:
        """How d² changes with the weights of images [b, g, d] of the first set, up to a constant: [b, g].

        Computed in the precision of the images, which is enough for an interval.
        """
        mean, shift, root = (part.astype(x.dtype) for part in (self.mean, self.shift, self.root))
        y = x.swapaxes(0, 1) - mean[:, None]  # [g, b, d]
        moved = y @ root
        linear = 2 * np.einsum("gbd,gd->bg", y, shift)
        return linear + np.einsum("gbd,gbd->bg", y, y) - np.einsum("gbd,gbd->bg", moved, moved)


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


def moments(features: Features, groups: Groups) -> Gaussians:
    """`fit` of stored features, computed once and stored next to them.

    Raises:
        MissingScore: as `fit`.
    """

    def make() -> dict[str, Floats]:
        fitted = fit(map(groups.of, features.blocks()))
        return {"mean": fitted.mean, "covariance": fitted.covariance}

    return Gaussians(**features.derived(f"moments-{groups.name}", make), samples=len(features))


def transport(p: Gaussians, q: Gaussians) -> Transport:
    """The squared Fréchet distance of each group from `p` to `q`, and its optimal transport map.

    Warns with a `Caveat` if a set has no more samples than features: the distance of the fitted Gaussians is correct,
    but their covariances are rank-deficient, and it is far above the distance of the distributions.

    Raises:
        MissingScore: eigenvalues or singular values do not converge.
        ValueError: the two differ in groups or features.
    """
    if p.mean.shape != q.mean.shape:
        raise ValueError(f"features of shapes {list(p.mean.shape)} and {list(q.mean.shape)} cannot be compared")
    n, d = min(p.samples, q.samples), p.mean.shape[-1]
    if n <= d:
        warnings.warn(f"{n} images for a Gaussian of {d} features: the distance is biased upwards", Caveat, 2)
    shift = p.mean - q.mean
    apart = np.square(shift).sum(-1) + np.trace(p.covariance + q.covariance, axis1=-2, axis2=-1)
    try:
        pairs = [_overlap(*group) for group in zip(p.covariance, q.covariance, apart, strict=True)]
    except np.linalg.LinAlgError as error:
        raise MissingScore(f"the Fréchet distance does not converge: {error}") from error
    overlaps, roots = zip(*pairs, strict=True)
    return Transport(np.maximum(apart - 2 * np.array(overlaps), 0), p.mean, shift, np.stack(roots))


def estimate(
    synthetic: Features, reference: Features, groups: Groups, generator: torch.Generator, weight: float = 1
) -> Estimate:
    """The sum of all groups' squared distances times `weight`, with its interval over synthetic images.

    Args:
        synthetic: features of the synthetic images.
        reference: features of the real images.
        groups: the features that each Gaussian is fitted to.
        generator: random generator of the bootstrap.
        weight: factor of the sum.

    Raises:
        MissingScore: as `fit` and `transport`.
    """
    found = transport(moments(synthetic, groups), moments(reference, groups))
    influences = np.concatenate([found.influences(groups.of(block)).sum(-1) for block in synthetic.blocks()])
    return bootstrap.around(weight * float(found.distance.sum()), weight * influences, generator)


def frechet_distance(x: Iterable[Array], y: Iterable[Array]) -> Floats:
    """The squared Fréchet distance of two sets of features, group by group; see `transport`.

    Args:
        x: blocks of float [b, g, d].
        y: the same of the other set.

    Returns:
        float64 [g], at least 0.
    """
    return transport(fit(x), fit(y)).distance


def _overlap(s: Floats, t: Floats, apart: float) -> tuple[float, Floats]:
    """tr (S T)^{1/2} and a factor of the transport map of matrices [d, d].

    Args:
        s, t: the covariances.
        apart: the other terms of d², |m₁ - m₂|² + tr S + tr T, which set the acceptable rounding error.
    """
    with contextlib.suppress(np.linalg.LinAlgError):
        overlap, lost, root = _by_cholesky(s, t)
        if 2 * lost < LOST * (apart - 2 * overlap):
            return overlap, root
    return _by_pivots(s, t)


def _by_cholesky(s: Floats, t: Floats) -> tuple[float, float, Floats]:
    """tr (S T)^{1/2}, its estimated rounding error, and a factor of the transport map.

    Raises:
        LinAlgError: a matrix is not positive definite.
    """
    a = np.linalg.cholesky(s)
    k = a.T @ np.linalg.cholesky(t)
    squares, left = np.linalg.eigh(k @ k.T)
    error = EPSILON * squares[-1]
    values = np.sqrt(squares.clip(min=0))
    lost = np.linalg.norm(error / np.maximum(values, np.sqrt(error)))
    root = scipy.linalg.solve_triangular(a, left * np.sqrt(values), trans="T", lower=True, check_finite=False)
    return float(values.sum()), float(lost), root


def _by_pivots(s: Floats, t: Floats) -> tuple[float, Floats]:
    """tr (S T)^{1/2} and a factor of the transport map, of matrices of any rank."""
    a = _pivoted(s)  # [d, r]
    left, values, _ = np.linalg.svd(a.T @ _pivoted(t), full_matrices=False)
    q, r = np.linalg.qr(a)
    root = np.zeros_like(s)
    root[:, : len(values)] = q @ scipy.linalg.solve_triangular(r, left * np.sqrt(values), trans="T")
    return float(values.sum()), root


def _pivoted(s: Floats) -> Floats:
    """A factor [d, r] of a positive semi-definite matrix [d, d] of rank r, by Cholesky with pivoting."""
    lower, order, rank, _ = scipy.linalg.lapack.dpstrf(s, tol=len(s) * EPSILON * s.diagonal().max(), lower=1)
    factor = np.empty((len(s), rank))
    factor[order - 1] = np.tril(lower)[:, :rank]
    return factor
