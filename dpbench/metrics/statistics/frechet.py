"""The Fréchet distance between Gaussians fitted to two sets of features, and the influence of each image on it.

    d² = |m₁ - m₂|² + tr S₁ + tr S₂ - 2 tr (S₁ S₂)^{1/2}

(Dowson and Landau, 1982; as a score of generators: Heusel et al., arXiv 1706.08500.) For any factors S₁ = A Aᵀ and
S₂ = B Bᵀ, the trace of (S₁ S₂)^{1/2} is the sum of the singular values σ of K = AᵀB, which needs no matrix square root
and is always real. With Cholesky factors, computing σ² as eigenvalues of K Kᵀ is fast, but a σ near 0 loses half of its
digits. If that could affect d², or if a covariance is rank-deficient, pivoted Cholesky factors are used, which have
as many columns as the rank, with a singular value decomposition, which loses no digits.

To first order, more weight on an image x of the first set changes d² by

    2 (m₁ - m₂)·y + yᵀ(I - T) y + constant,   y = x - m₁

where T, the optimal transport map from the first Gaussian to the second, is A⁺ᵀ (K Kᵀ)^{1/2} A⁺. The pseudo-inverse is
sufficient if S₁ is rank-deficient, since resampled images stay in its range.

The d² of finite sets is too large by about a / n + b / m (Chong and Forsyth, arXiv 1911.07023). Halving a set doubles
its term, so d² minus the mean distance of the two halves removes it, once for each set: the limit for infinitely many
images is 3 d² - (mean over the first set's halves) - (mean over the second set's halves).

The interval of the influences serves for both d² and its limit. Near 0, where the influences are noise, their variance
is just that of the limit, and up to twice that of d²: there, the interval of d² is too wide.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Estimate
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.caveats import Caveat
from dpbench.evaluation.features import Array, Features
from dpbench.metrics.statistics.gaussians import Floats, Gaussians, Groups, fit_halves

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
Reals = NDArray[np.floating]

EPSILON = float(np.finfo(np.float64).eps)
"""The error of a symmetric matrix's eigenvalues, relative to the largest one."""
LOST = 1e-5
"""Estimated relative rounding error of d² above which the slower computation is used."""


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


def transport(p: Gaussians, q: Gaussians) -> Transport:
    """The squared Fréchet distance of each group from `p` to `q`, and its optimal transport map.

    Warns with a `Caveat` if a set has no more samples than features: the distance of the fitted Gaussians is correct,
    but their covariances are rank-deficient, and it is far above the distance of the distributions.

    Raises:
        MissingScore: eigenvalues or singular values do not converge.
        ValueError: the two differ in groups or features.
    """
    n, d = min(p.samples, q.samples), p.mean.shape[-1]
    if n <= d:
        warnings.warn(f"{n} images for a Gaussian of {d} features: the distance is biased upwards", Caveat, 2)
    apart = _apart(p, q)
    overlaps, roots = zip(*_of_each(_overlap_and_root, p, q, apart), strict=True)
    return Transport(_squared(apart, overlaps), p.mean, p.mean - q.mean, np.stack(roots))


def distance(p: Gaussians, q: Gaussians) -> Floats:
    """The squared Fréchet distance of each group, float64 [g]: that of `transport`, in half the time.

    Raises:
        MissingScore, ValueError: as `transport`.
    """
    apart = _apart(p, q)
    return _squared(apart, _of_each(_overlap, p, q, apart))


def estimates(
    name: str, synthetic: Features, reference: Features, groups: Groups, generator: torch.Generator, weight: float = 1
) -> dict[str, Estimate]:
    """The sum of all groups' squared distances times `weight`, and its limit, with intervals over synthetic images.

    Distances and influences are summed over slices of the groups, so that memory is bounded; see `Groups.slices`.

    Warns with a `Caveat` as `transport`, and if half of a set has no more images than a group has features: then the
    error is no longer proportional to 1 / n, and some of it stays in the limit, more than the interval covers.

    Args:
        name: name of the column.
        synthetic: features of the synthetic images.
        reference: features of the real images.
        groups: the features that each Gaussian is fitted to.
        generator: random generator of the bootstrap.
        weight: factor of the sum.

    Returns:
        `name` -> the distance; `name`_inf -> its limit for infinitely many images of both sets, which may be below 0.

    Raises:
        MissingScore: as `fit_halves` and `transport`.
    """
    value = limit = 0.0
    influences = np.zeros(len(synthetic))
    for part in groups.slices(synthetic.shape):
        found = _of_slice(name, synthetic, reference, part)
        value, limit, influences = value + found.distance, limit + found.limit, influences + found.influences
    plain = bootstrap.around(weight * value, weight * influences, generator)
    return {name: plain, f"{name}_inf": plain._replace(value=weight * limit)}


class _Sums(NamedTuple):
    """Sums over groups."""

    distance: float
    limit: float
    influences: Floats  # [n], of each synthetic image


def _of_slice(name: str, synthetic: Features, reference: Features, groups: Groups) -> _Sums:
    """The sums over the groups of one slice, whose covariances are in memory together; see `estimates`."""
    p, q = fit_halves(synthetic, groups), fit_halves(reference, groups)
    found = transport(p.whole, q.whole)
    n, d = min(g.samples for g in (*p.halves, *q.halves)), p.whole.mean.shape[-1]
    if n <= d:
        warnings.warn(
            f"halves of {n} images for Gaussians of {d} features: {name}_inf is only roughly right", Caveat, 2
        )
    pairs = [*((half, q.whole) for half in p.halves), *((p.whole, half) for half in q.halves)]
    limits = 3 * found.distance - sum(distance(*pair) for pair in pairs) / 2
    blocks = synthetic.blocks(groups.within)
    influences = [found.influences(groups.of(block)).sum(-1, dtype=np.float64) for block in blocks]
    return _Sums(float(found.distance.sum()), float(limits.sum()), np.concatenate(influences))


def _apart(p: Gaussians, q: Gaussians) -> Floats:
    """The distance without the overlap, |m₁ - m₂|² + tr S₁ + tr S₂: [g]."""
    if p.mean.shape != q.mean.shape:
        raise ValueError(f"features of shapes {list(p.mean.shape)} and {list(q.mean.shape)} cannot be compared")
    return np.square(p.mean - q.mean).sum(-1) + np.trace(p.covariance + q.covariance, axis1=-2, axis2=-1)


def _squared(apart: Floats, overlaps: Sequence[float]) -> Floats:
    return np.maximum(apart - 2 * np.array(overlaps), 0)


def _of_each(function: Callable[[Floats, Floats, float], T], p: Gaussians, q: Gaussians, apart: Floats) -> list[T]:
    """The function's values for each group's two covariances [d, d] and `apart`, which bounds the rounding error."""
    try:
        return [function(*group) for group in zip(p.covariance, q.covariance, apart, strict=True)]
    except np.linalg.LinAlgError as error:
        raise MissingScore(f"the Fréchet distance does not converge: {error}") from error


def _overlap(s: Floats, t: Floats, apart: float) -> float:
    """tr (S T)^{1/2}."""
    with contextlib.suppress(np.linalg.LinAlgError):
        _, product = _factor_and_product(s, t)
        if (values := _roots(np.linalg.eigvalsh(product), apart)) is not None:
            return float(values.sum())
    return float(np.linalg.svd(_pivoted(s).T @ _pivoted(t), compute_uv=False).sum())


def _overlap_and_root(s: Floats, t: Floats, apart: float) -> tuple[float, Floats]:
    """tr (S T)^{1/2}, and a factor of the transport map [d, d]."""
    with contextlib.suppress(np.linalg.LinAlgError):
        if (found := _by_cholesky(s, t, apart)) is not None:
            return found
    return _by_pivots(s, t)


def _by_cholesky(s: Floats, t: Floats, apart: float) -> tuple[float, Floats] | None:
    """See `_overlap_and_root`; None if rounding errors could matter.

    Raises:
        LinAlgError: a matrix is not positive definite.
    """
    a, product = _factor_and_product(s, t)
    squares, left = np.linalg.eigh(product)
    if (values := _roots(squares, apart)) is None:
        return None
    root = scipy.linalg.solve_triangular(a, left * np.sqrt(values), trans="T", lower=True, check_finite=False)
    return float(values.sum()), root


def _factor_and_product(s: Floats, t: Floats) -> tuple[Reals, Reals]:
    """The Cholesky factor A of S, and K Kᵀ."""
    a = np.linalg.cholesky(s)
    k = a.T @ np.linalg.cholesky(t)
    return a, k @ k.T


def _roots(squares: Reals, apart: float) -> Reals | None:
    """The square roots of ascending eigenvalues [d]; None if their rounding errors could matter for the distance."""
    error = EPSILON * squares[-1]
    values = np.sqrt(squares.clip(min=0))
    lost = np.linalg.norm(error / np.maximum(values, np.sqrt(error)))
    return values if 2 * lost < LOST * (apart - 2 * values.sum()) else None


def _by_pivots(s: Floats, t: Floats) -> tuple[float, Floats]:
    """See `_overlap_and_root`; for matrices of any rank."""
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
