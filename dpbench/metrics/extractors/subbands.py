"""Variances and correlations of wavelet sub-bands over the positions of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor


def centred(x: Tensor) -> Tensor:
    """[..., h, w] minus its mean over positions."""
    return x - x.mean((-2, -1), keepdim=True)


def products(x: Tensor, y: Tensor) -> Tensor:
    """[b, g, k, h, w] and [b, g, l, h, w] -> mean products over positions [b, g, k, l].

    Of k = l bands only the diagonal may be needed. Even so, a matrix product is faster than k sums of products.
    """
    x, y = x.flatten(-2), y.flatten(-2)
    return x @ y.mT / x.shape[-1]


def variances(x: Tensor) -> Tensor:
    """[b, g, k, h, w], mean zero over positions -> [b, g, k]."""
    return products(x, x).diagonal(dim1=-2, dim2=-1)


def correlation(x: Tensor, y: Tensor, flat: float) -> Tensor:
    """Correlation coefficients over positions.

    Args:
        x: [b, g, k, h, w], mean zero over positions.
        y: [b, g, l, h, w], mean zero over positions.
        flat: is added to variances, so that the coefficients of constants are defined.

    Returns:
        [b, g, k, l].
    """
    return products(x, y) / (_deviation(x, flat)[..., :, None] * _deviation(y, flat)[..., None, :])


def pairs(x: Tensor, flat: float) -> Tensor:
    """Correlation coefficients of all pairs of k bands: [b, g, k, h, w] -> [b, g, k(k - 1)/2]; see `correlation`."""
    k = x.shape[2]
    i, j = torch.triu_indices(k, k, offset=1, device=x.device)
    return correlation(x, x, flat)[..., i, j]


def neighbouring(levels: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each level with the next coarser one at the same positions: the middle of a filter on that of its parent.

    Args:
        levels: sub-bands [b, g, k, h, w] of `haar.stationary`, mean zero over positions, from fine to coarse.
    """
    for level, (fine, above) in enumerate(pairwise(levels)):
        inward = 1 << level  # from a filter's corner to that of its parent
        yield centred(fine[..., inward:-inward, inward:-inward]), above


def _deviation(x: Tensor, flat: float) -> Tensor:
    return (variances(x) + flat).sqrt()
