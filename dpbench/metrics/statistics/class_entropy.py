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
        features: of n images, n >= `splits`.
        logits: features [b, d] -> class scores [b, classes], on any device.
        splits: number of parts that the images are divided into at random.
        generator: divides them.

    Returns:
        The score, and the influence on it of each image, float64 [n].

    Raises:
        MissingScore: a feature is not finite.
    """
    n = len(features)
    split = torch.randperm(n, generator=generator) * splits // n
    counts = torch.bincount(split).double()
    q, negentropy = torch.zeros(()), torch.zeros(splits, dtype=torch.float64)
    for rows, p, h in _predictions(features, logits):
        q = q + torch.zeros(splits, p.shape[1], dtype=torch.float64).index_add_(0, split[rows], p)
        negentropy.index_add_(0, split[rows], h)
    q = q / counts[:, None]  # [splits, classes]
    value = (negentropy / counts - torch.xlogy(q, q).sum(1)).exp()  # [splits]
    log_q = q.clamp(min=torch.finfo(q.dtype).tiny).log()
    divergence = torch.empty(n, dtype=torch.float64)  # KL(p | q)
    for rows, p, h in _predictions(features, logits):
        divergence[rows] = h - (p * log_q[split[rows]]).sum(1)
    mean = torch.zeros(splits, dtype=torch.float64).index_add_(0, split, divergence) / counts
    influences = n / splits * (value / counts)[split] * (divergence - mean[split])
    return float(value.mean()), influences.numpy()


def _predictions(features: Features, logits: Callable[[Tensor], Tensor]) -> Predictions:
    """Blocks of (which images, probabilities [b, classes], their negative entropies [b]), float64."""
    start = 0
    for block in features.blocks():
        for rows in torch.from_numpy(require_finite(block)).split(ROWS):
            log_p = F.log_softmax(logits(rows).cpu().double(), 1)
            yield slice(start, start + len(rows)), log_p.exp(), (log_p.exp() * log_p).sum(1)
            start += len(rows)
