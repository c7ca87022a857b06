"""The Inception Score (Salimans et al., arXiv 1606.03498) and the influence of each image on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dpbench.evaluation.features import Features, require_finite

ROWS = 500
"""Number of images whose class probabilities are in memory at the same time."""

Predictions = Iterator[tuple[slice, Tensor, Tensor]]


def inception_score(
    features: Features, logits: Callable[[Tensor], Tensor], splits: int, generator: torch.Generator
) -> tuple[float, NDArray[np.float64]]:
    """exp of the mean KL divergence from an image's class probabilities p to their mean q, averaged over splits.

    Args:
        features: the features of n images, n >= `splits`.
        logits: features [b, d] -> class scores [b, classes], on any device.
        splits: number of parts that the images are divided into at random.
        generator: draws the division.

    Returns:
        The score, and the influence of each image on it, float64 [n]: the change from leaving the image out (the
        jackknife). An image's own probabilities are a part of q, so a first-order influence would be too small: by a
        third with 10 images in a split.

    Raises:
        MissingScore: a feature is not finite.
    """
    n = len(features)
    split = torch.randperm(n, generator=generator) * splits // n
    counts = torch.bincount(split).double()
    sums, negentropy = torch.zeros(()), torch.zeros(splits, dtype=torch.float64)
    for rows, p, h in _predictions(features, logits):
        sums = sums + torch.zeros(splits, p.shape[1], dtype=torch.float64).index_add_(0, split[rows], p)
        negentropy.index_add_(0, split[rows], h)
    q = sums / counts[:, None]  # [splits, classes]
    value = (negentropy / counts - torch.xlogy(q, q).sum(1)).exp()  # [splits]
    without = torch.empty(n, dtype=torch.float64)  # the value of an image's split if it is left out
    for rows, p, h in _predictions(features, logits):
        own = split[rows]
        others = (counts[own] - 1).clamp(min=1)
        rest = ((sums[own] - p) / others[:, None]).clamp(min=0)
        without[rows] = ((negentropy[own] - h) / others - torch.xlogy(rest, rest).sum(1)).exp()
    mean = torch.zeros(splits, dtype=torch.float64).index_add_(0, split, without) / counts
    influences = n / splits * (1 - 1 / counts[split]).sqrt() * (mean[split] - without)
    return float(value.mean()), influences.numpy()


def _predictions(features: Features, logits: Callable[[Tensor], Tensor]) -> Predictions:
    """Blocks of (positions of images, probabilities [b, classes], their negative entropies [b]), float64."""
    start = 0
    for block in features.blocks():
        for rows in torch.from_numpy(require_finite(block)).split(ROWS):
            log_p = F.log_softmax(logits(rows).cpu().double(), 1)
            yield slice(start, start + len(rows)), log_p.exp(), (log_p.exp() * log_p).sum(1)
            start += len(rows)
