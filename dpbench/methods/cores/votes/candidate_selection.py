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
    """A share of each class's candidates, the best and all level with the last, are drawn equally often: [c, n]."""
    last = weights.topk(math.ceil(share * weights.shape[1]), dim=1).values[:, -1:]
    return ((weights >= last) & (weights > 0)).to(weights)


SELECTIONS: dict[str, Callable[[Tensor, float], Tensor]] = {"proportional": in_proportion, "rank": by_rank}
"""`select` of the settings -> weights of the candidates, from their votes above the threshold and a share."""
