"""The Fréchet distance between Gaussians fitted to two sets of features.

    d² = |m₁ - m₂|² + tr S₁ + tr S₂ - 2 tr (S₁ S₂)^{1/2}

(Dowson and Landau, 1982; as a score of generators: Heusel et al., arXiv 1706.08500). With the symmetric roots A of S₁
and B of S₂, (S₁ S₂)^{1/2} has the trace of (A S₂ A)^{1/2} = ((AB)(AB)ᵀ)^{1/2}, which is the sum of the singular values
of AB. That needs no matrix square root of a non-symmetric product, never turns complex, and keeps full precision where
covariances are rank-deficient: a zero eigenvalue that comes out as 1e-16 enters as 1e-16, not as its root 1e-8.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dpbench.core.errors import MissingScore
from dpbench.metrics.caveat import Caveat


class Gaussians(NamedTuple):
    """Gaussians fitted to g groups of d features, float64."""

    mean: Tensor  # [g, d]
    covariance: Tensor  # [g, d, d]
    samples: int


def fit(features: np.ndarray) -> Gaussians:
    """Mean and unbiased covariance (divided by n - 1) of each group of features.

    Args:
        features: float [n, g, d]; only one group at a time is held in float64.

    Raises:
        MissingScore: fewer than two samples, or a feature that is not finite.
    """
    n = len(features)
    if n < 2:
        raise MissingScore(f"a covariance needs at least 2 images, not {n}")
    means, covariances = [], []
    for group in range(features.shape[1]):
        x = torch.as_tensor(features[:, group]).double()  # [n, d]
        if not torch.isfinite(x).all():
            raise MissingScore("some features are not finite")
        means.append(x.mean(0))
        centred = x - means[-1]
        covariances.append(centred.T @ centred / (n - 1))
    return Gaussians(torch.stack(means), torch.stack(covariances), n)


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


def frechet_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The squared Fréchet distance of two sets of features, group by group.

    Gives a `Caveat` where a set has no more samples than features: the distance is right for the fitted Gaussians, but
    their covariances are rank-deficient and the distance is far above that of the distributions.

    Args:
        x: float [n, g, d], or [n, d] for a single group.
        y: float [m, g, d], or [m, d].

    Returns:
        float64 [g], at least 0; g = 1 for a single group.

    Raises:
        MissingScore: fewer than two samples, or a feature that is not finite.
        ValueError: the two differ in groups or features.
    """
    if x.shape[1:] != y.shape[1:] or x.ndim not in (2, 3):
        raise ValueError(f"features of shapes {x.shape} and {y.shape} cannot be compared")
    if x.ndim == 2:
        x, y = x[:, None], y[:, None]
    p, q = fit(x), fit(y)
    n, d = min(p.samples, q.samples), x.shape[-1]
    if n <= d:
        warnings.warn(f"{n} images for a Gaussian of {d} features: the distance is biased upwards", Caveat, 2)
    return distance(p, q).numpy()
