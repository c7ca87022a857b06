"""Precision, recall, density and coverage from k-nearest-neighbour balls.

Precision and recall are defined by Kynkäänniemi et al. (arXiv 1904.06991), density and coverage by Naeem et al. (arXiv
2002.09797). A ball's radius is the distance to the k-th nearest neighbour. Balls are closed, as in the first of the two
papers; `open_precision_recall` has open ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Estimate
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.caveats import Caveat
from dpbench.evaluation.features import Array, Features, require_finite

ROWS = 100
"""Number of rows of a distance matrix that are in memory at the same time: few, so that they stay in the cache."""
SAME = 32 * torch.finfo(torch.float32).eps
"""Squared distances below this share of the squared norms are treated as rounding errors, i.e. as duplicates."""


def prdc(
    synthetic: Features, reference: Features, k: int, most: int, generator: torch.Generator
) -> dict[str, Estimate]:
    """Precision, recall, density and coverage with their intervals over synthetic images.

    Args:
        synthetic: features of the synthetic images.
        reference: features of the real images.
        k: number of neighbours that sets the radius of a ball.
        most: maximum number of images of each set that are compared.
        generator: random generator of the bootstrap.

    Raises:
        MissingScore: no more than k images, or a feature that is not finite.
    """
    x, y = _centred(synthetic.at_most(most), reference.at_most(most), k)
    n = len(x)
    radii = _radii(synthetic, x, k, most, "synthetic"), _radii(reference, y, k, most, "reference")
    found = memberships(x, y, *radii)

    return {
        "precision": bootstrap.mean((found.reference_balls > 0).double().numpy(), generator),
        "recall": _share(found.synthetic_balls, found.only_ball, n, generator),
        "density": bootstrap.mean(found.reference_balls.double().numpy() / k, generator),
        "coverage": _share(found.synthetic_inside, found.only_inside, n, generator),
    }


def open_precision_recall(
    synthetic: Features, reference: Features, precision_k: int, recall_k: int, most: int, generator: torch.Generator
) -> tuple[Estimate, Estimate]:
    """Precision and recall with open balls and separate numbers of neighbours, with intervals over synthetic images.

    Args:
        synthetic: features of the synthetic images.
        reference: features of the real images, all of which are compared.
        precision_k: number of neighbours that sets the radius of a reference image's ball.
        recall_k: the same for a synthetic image's ball.
        most: maximum number of synthetic images that are compared.
        generator: random generator of the bootstrap.

    Raises:
        MissingScore: no more than k images, or a feature that is not finite.
    """
    x, y = _centred(synthetic.at_most(most), reference.at_most(len(reference)), max(precision_k, recall_k))
    radii = (
        _radii(synthetic, x, recall_k, most, "synthetic"),
        _radii(reference, y, precision_k, len(y), "reference"),
    )
    found = memberships(x, y, *(squares.nextafter(torch.tensor(-torch.inf)) for squares in radii))
    inside = (found.reference_balls > 0).double().numpy()
    return bootstrap.mean(inside, generator), _share(found.synthetic_balls, found.only_ball, len(x), generator)


def _centred(synthetic: Array, reference: Array, k: int) -> tuple[Tensor, Tensor]:
    """Both sets of features [n, d] and [m, d], minus the reference's mean, which reduces rounding errors; in place.

    Raises:
        MissingScore: no more than k images, or a feature that is not finite.
    """
    x, y = (torch.from_numpy(require_finite(features)).flatten(1) for features in (synthetic, reference))
    if min(len(x), len(y)) <= k:
        raise MissingScore(f"{k} nearest neighbours need more than {k} images of either set, not {min(len(x), len(y))}")
    mean = y.mean(0)
    return x.sub_(mean), y.sub_(mean)


def _share(counts: Tensor, only: Tensor, n: int, generator: torch.Generator) -> Estimate:
    """Share of reference images with a count above 0.

    Args:
        counts: the number of synthetic images behind each reference image: int64 [m].
        only: the index of that synthetic image if the number is 1: int64 [m].
        n: number of synthetic images.
        generator: random generator of the bootstrap.
    """
    lost = torch.bincount(only[counts == 1], minlength=n)  # reference images lost when a synthetic one is left out
    return bootstrap.around(float((counts > 0).double().mean()), n / len(counts) * lost.double().numpy(), generator)


def _radii(features: Features, x: Tensor, k: int, most: int, role: str) -> Tensor:
    """The squared radii [n] of the balls around `x`, at most `most` of `features`; computed once and stored."""
    radii = features.derived(f"radii-{k}-{most}", lambda: {"squared": squared_radii(x, k).double().numpy()})["squared"]
    points = int((radii == 0).sum())
    if points:
        warnings.warn(f"{points} of {len(x)} {role} images have {k} duplicates: balls of radius 0", Caveat, 2)
    return torch.from_numpy(radii).float()


class Memberships(NamedTuple):
    """Counts of images inside the other set's balls."""

    reference_balls: Tensor
    """The number of reference balls that contain each synthetic image: int64 [n]."""
    synthetic_inside: Tensor
    """The number of synthetic images in each reference image's ball: int64 [m]."""
    only_inside: Tensor
    """The index of that synthetic image if the number is 1: int64 [m]."""
    synthetic_balls: Tensor
    """The number of synthetic balls that contain each reference image: int64 [m]."""
    only_ball: Tensor
    """The index of that ball's synthetic image if the number is 1: int64 [m]."""


def memberships(synthetic: Tensor, reference: Tensor, synthetic_radii: Tensor, reference_radii: Tensor) -> Memberships:
    """Counts of images [n, d] and [m, d] in each other's balls of squared radii [n] and [m], in blocks of rows."""
    m = len(reference)
    of_synthetic = []
    inside, only_inside, balls, only_ball = (torch.zeros(m, dtype=torch.int64) for _ in range(4))
    for start, squares in _squared_distances(synthetic, reference):
        rows, columns = _pairs(squares <= reference_radii)
        of_synthetic.append(torch.bincount(rows, minlength=len(squares)))
        inside += torch.bincount(columns, minlength=m)
        only_inside[columns] = start + rows
        rows, columns = _pairs(squares <= synthetic_radii[start : start + len(squares), None])
        balls += torch.bincount(columns, minlength=m)
        only_ball[columns] = start + rows
    return Memberships(torch.cat(of_synthetic), inside, only_inside, balls, only_ball)


def squared_radii(x: Tensor, k: int) -> Tensor:
    """The squared distance of each image [n, d] from its k-th nearest neighbour among the others, k < n: [n]."""
    return torch.cat([squares.topk(k + 1, largest=False).values[:, -1] for _, squares in _squared_distances(x, x)])


def _squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Squared distances of `x` [n, d] from `y` [m, d] in blocks: (index of the first row, [rows, m])."""
    of_y = y.square().sum(1)
    for start in range(0, len(x), ROWS):
        block = x[start : start + ROWS]
        of_x = block.square().sum(1)
        squares = torch.addmm(of_y, block, y.T, alpha=-2).add_(of_x[:, None])
        rows, columns = _pairs(squares <= SAME * (of_x[:, None] + of_y.max()))  # few; their exact limits are used next
        same = squares[rows, columns] <= SAME * (of_x[rows] + of_y[columns])
        squares[rows[same], columns[same]] = 0
        yield start, squares


def _pairs(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The rows and columns where `chosen`, bool [rows, m], is true; fast if there are few."""
    found = torch.from_numpy(np.flatnonzero(chosen.numpy()))  # much faster than Tensor.nonzero
    return found // chosen.shape[1], found % chosen.shape[1]
