"""Variances and correlations of wavelet sub-bands over the positions of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

PIXELS = 32 * 32**2
"""Number of pixels in a part of a batch: the sub-bands of more pixels do not fit into a processor's cache."""


def in_parts(images: Tensor, statistics: Callable[[Tensor], Tensor]) -> Tensor:
    """The statistics [b, d] of images [b, c, h, w], computed in parts that fit into a processor's cache."""
    at_once = max(1, PIXELS // (images.shape[-2] * images.shape[-1]))
    return torch.cat([statistics(part) for part in images.split(at_once)])


def centred(x: Tensor) -> Tensor:
    """[..., h, w] minus its mean over positions."""
    return x - x.mean((-2, -1), keepdim=True)


def covariances(x: Tensor, y: Tensor) -> Tensor:
    """Covariances over positions: [b, g, k, h, w] and [b, g, l, h, w] -> [b, g, k, l].

    With k = l bands, only the diagonal may be needed. Even so, a matrix product is faster than k sums of products.
    """
    x, y = x.flatten(-2), y.flatten(-2)
    return x @ y.mT / x.shape[-1] - _outer(x.mean(-1), y.mean(-1))


def variances(x: Tensor) -> Tensor:
    """[b, g, k, h, w] -> [b, g, k]."""
    return covariances(x, x).diagonal(dim1=-2, dim2=-1)


def correlations(x: Tensor, y: Tensor, flat: float) -> Tensor:
    """Correlation coefficients over positions: [b, g, k, h, w] and [b, g, l, h, w] -> [b, g, k, l].

    Args:
        x, y: sub-bands.
        flat: added to variances, so that the coefficients of constants are defined.
    """
    return covariances(x, y) / _outer((variances(x) + flat).sqrt(), (variances(y) + flat).sqrt())


def pairs(x: Tensor, flat: float) -> Tensor:
    """Correlation coefficients of all pairs of k bands: [b, g, k, h, w] -> [b, g, k(k - 1)/2]; see `correlations`."""
    found, k = covariances(x, x), x.shape[2]
    deviations = (found.diagonal(dim1=-2, dim2=-1) + flat).sqrt()
    i, j = torch.triu_indices(k, k, offset=1, device=x.device)
    return (found / _outer(deviations, deviations))[..., i, j]


def neighbouring(levels: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each level with the next coarser one, aligned: the centre of a filter is on the centre of its parent's filter.

    Args:
        levels: sub-bands [b, g, k, h, w] of `haar.stationary`, from fine to coarse.
    """
    for level, (fine, above) in enumerate(pairwise(levels)):
        inward = 1 << level  # from a filter's corner to that of its parent
        yield fine[..., inward:-inward, inward:-inward], above


def _outer(x: Tensor, y: Tensor) -> Tensor:
    return x[..., :, None] * y[..., None, :]
