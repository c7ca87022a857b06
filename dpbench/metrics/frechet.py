"""The Fréchet distance between Gaussians fitted to two sets of features.

    d² = |m₁ - m₂|² + tr S₁ + tr S₂ - 2 tr (S₁ S₂)^{1/2}

(Dowson and Landau, 1982; as a score of generators: Heusel et al., arXiv 1706.08500). With the symmetric roots A of S₁
and B of S₂, (S₁ S₂)^{1/2} has the trace of (A S₂ A)^{1/2} = ((AB)(AB)ᵀ)^{1/2}, which is the sum of the singular values
of AB. That needs no matrix square root of a non-symmetric product, never turns complex, and keeps full precision where
covariances are rank-deficient: a zero eigenvalue that comes out as 1e-16 enters as 1e-16, not as its root 1e-8.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.core.errors import MissingScore
from dpbench.metrics.caveat import Caveat
from dpbench.metrics.features import Array


class Gaussians(NamedTuple):
    """Gaussians fitted to g groups of d features, float64."""

    mean: Tensor  # [g, d]
    covariance: Tensor  # [g, d, d]
    samples: int


def fit(blocks: Iterable[Array]) -> Gaussians:
    """Mean and unbiased covariance (divided by n - 1) of each group of features, in one pass.

    Sums are taken around the first image's features, which keeps their digits where the mean is far from zero.

    Args:
        blocks: float [b, g, d], one after the other; memory holds one of them and the moments.

    Raises:
        MissingScore: fewer than two samples, or a feature that is not finite.
    """
    n, origin, total, products = 0, torch.zeros(()), torch.zeros(()), torch.zeros(())
    for block in blocks:
        x = torch.as_tensor(block).double().transpose(0, 1)  # [g, b, d]
        if not torch.isfinite(x).all():
            raise MissingScore("some features are not finite")
        origin = origin if n else x[:, :1]
        x = x - origin
        total = total + x.sum(1)
        products = products + x.mT @ x
        n += x.shape[1]
    if n < 2:
        raise MissingScore(f"a covariance needs at least 2 images, not {n}")
    shift = total / n  # [g, d]
    covariance = (products - n * shift[:, :, None] * shift[:, None, :]) / (n - 1)
    return Gaussians(origin[:, 0] + shift, covariance, n)


def distance(p: Gaussians, q: Gaussians) -> Tensor:
    """The squared Fréchet distance d² of each group: float64 [g], at least 0.

    Raises:
        MissingScore: the eigenvalues or singular values do not converge.
    """
    mean = (p.mean - q.mean).square().sum(-1)
    traces = (p.covariance.diagonal(dim1=-2, dim2=-1) + q.covariance.diagonal(dim1=-2, dim2=-1)).sum(-1)
    try:
        cross = torch.linalg.svdvals(_root(p.covariance) @ _root(q.covariance)).sum(-1)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise MissingScore(f"the Fréchet distance does not converge: {error}") from error
    return (mean + traces - 2 * cross).clamp(min=0)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of positive semi-definite matrices [..., d, d]."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()[..., None, :] @ vectors.mT


def frechet_distance(x: Iterable[Array], y: Iterable[Array]) -> NDArray[np.float64]:
    """The squared Fréchet distance of two sets of features, group by group.

    Gives a `Caveat` where a set has no more samples than features: the distance is right for the fitted Gaussians, but
    their covariances are rank-deficient and the distance is far above that of the distributions.

    Args:
        x: blocks of float [b, g, d].
        y: the same of the other set.

    Returns:
        float64 [g], at least 0.

    Raises:
        MissingScore: fewer than two samples, or a feature that is not finite.
        ValueError: the two differ in groups or features.
    """
    p, q = fit(x), fit(y)
    if p.mean.shape != q.mean.shape:
        raise ValueError(f"features of shapes {list(p.mean.shape)} and {list(q.mean.shape)} cannot be compared")
    n, d = min(p.samples, q.samples), p.mean.shape[-1]
    if n <= d:
        warnings.warn(f"{n} images for a Gaussian of {d} features: the distance is biased upwards", Caveat, 2)
    return distance(p, q).numpy()
