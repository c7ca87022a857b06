"""Selection of candidates by their noisy votes: post-processing (Private Evolution, arXiv 2305.15560, algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def above(votes: Tensor, threshold: float) -> Tensor:
    """max(votes - threshold, 0) for each candidate, and 1 for all candidates of a class that has none above: [c, n].

    Without candidates above the threshold, the shares of the votes would be 0/0.
    """
    kept = (votes - threshold).clamp(min=0)
    return torch.where((kept > 0).any(1, keepdim=True), kept, 1.0)


def in_proportion(weights: Tensor, share: float) -> Tensor:
    """Candidates are drawn in proportion to their votes above the threshold: [c, n]."""
    return weights


def by_rank(weights: Tensor, share: float) -> Tensor:
    """The best candidates of each class, a share of all, are drawn equally often: [c, n]."""
    best = weights.topk(math.ceil(share * weights.shape[1]), dim=1)
    return torch.zeros_like(weights).scatter(1, best.indices, (best.values > 0).to(weights))


SELECTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {"proportional": in_proportion, "rank": by_rank}
"""`select` of the settings -> weights of the candidates, from their votes above the threshold and a share."""
