"""Balls that reach to an image's k-th nearest neighbour, and who lies in them.

Precision and recall (Kynkäänniemi et al., arXiv 1904.06991) and density and coverage (Naeem et al., arXiv 2002.09797)
all count images in such balls. Balls are closed, as in the first of the two papers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

ROWS = 500
"""How many rows of a matrix of distances are in memory together."""
SAME = 32 * torch.finfo(torch.float32).eps
"""Squared distances below this part of the squared norms are rounding errors: the two are duplicates."""


class Memberships(NamedTuple):
    """Who lies in whose balls."""

    reference_balls: Tensor
    """The number of reference balls that each synthetic image lies in: int64 [n]."""
    synthetic_inside: Tensor
    """The number of synthetic images in each reference image's ball: int64 [m]."""
    only_inside: Tensor
    """Where that is 1, which one it is: int64 [m]."""
    synthetic_balls: Tensor
    """The number of synthetic balls that each reference image lies in: int64 [m]."""
    only_ball: Tensor
    """Where that is 1, whose ball it is: int64 [m]."""


def memberships(synthetic: Tensor, reference: Tensor, synthetic_radii: Tensor, reference_radii: Tensor) -> Memberships:
    """Counts of images [n, d] and [m, d] in each other's balls of squared radii [n] and [m], in blocks of rows."""
    m = len(reference)
    of_synthetic = []
    inside, only_inside, balls, only_ball = (torch.zeros(m, dtype=torch.int64) for _ in range(4))
    for start, squares in _squared_distances(synthetic, reference):
        in_reference = squares <= reference_radii  # [rows, m]
        in_synthetic = squares <= synthetic_radii[start : start + len(squares), None]
        of_synthetic.append(in_reference.sum(1))
        for member, count, only in ((in_reference, inside, only_inside), (in_synthetic, balls, only_ball)):
            count += member.sum(0)
            torch.where(member.any(0), start + member.byte().argmax(0), only, out=only)
    return Memberships(torch.cat(of_synthetic), inside, only_inside, balls, only_ball)


def squared_radii(x: Tensor, k: int) -> Tensor:
    """The squared distance of each image [n, d] from its k-th nearest neighbour among the others, k < n: [n]."""
    return torch.cat([squares.kthvalue(k + 1, dim=1).values for _, squares in _squared_distances(x, x)])


def _squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Blocks of rows of the squared distances of `x` [n, d] from `y` [m, d], with the number of their first row."""
    norms = y.square().sum(1)
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS]
        scale = rows.square().sum(1, keepdim=True) + norms
        squares = torch.addmm(scale, rows, y.T, alpha=-2)
        yield start, squares.masked_fill_(squares <= SAME * scale, 0)
