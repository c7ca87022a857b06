"""Which rows of a step's batches its records get: a secret permutation over slots.

A loss may treat rows differently: null labels for the first tenth of them, weights by row, noise levels spread evenly
over the batch. If records took rows in the order of the dataset, a sampled record would shift all that follow it, and
its presence would change more than its own gradient: the step would be no Poisson-subsampled Gaussian mechanism.

So the sampled records are put into S slots by a uniformly random injection, S being a public constant, and the other
slots are padding. Adding record r changes no more than r's own slot, by this coupling: draw r's neighbours a uniform
injection together with r. A uniform injection of a set, restricted to a subset, is a uniform injection of the subset,
so the others' slots have the same joint law with r as without it; and the draws that a slot meets do not depend on who
fills it (a micro-batch of padding alone is skipped, but which stretch of a generator's stream the others meet has no
influence on its law). Given slots and draws of the others, their gradients are the same in both worlds, and r adds one
clipped gradient where there was padding. The hockey-stick divergence is jointly convex, so that the mixture over
samples, slots and draws costs no more than the Poisson-subsampled Gaussian mechanism that is billed.

A sample larger than S gets further micro-batches (none is truncated), and there adding r may change their number. S is
chosen such that this happens with a probability of at most `OVERFLOW` a step. How many others are sampled has the same
law with r as without, so this is one more mixture, and δ is at most `OVERFLOW` a step more than what is billed: 10⁻⁹
after a thousand steps.

A loss that is free of order (see `order`) needs no constant: rows are independent of each other, so that it does not
matter how many there are, and S is what the realised sample fills.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

OVERFLOW = 1e-12
"""Probability per step that a Poisson sample has more records than there are slots."""

EMPTY = -1
"""Stands in a slot without a record."""


def most_sampled(n: int, rate: float) -> int:
    """How many of n records a Poisson sample has at most, but for a probability of `OVERFLOW` (Bernstein's inequality).

    P(X ≥ nq + t) ≤ exp(-t² / (2 (nq(1-q) + t/3))).
    """
    if rate == 1:
        return n
    a = -math.log(OVERFLOW)
    return min(n, math.ceil(n * rate + a / 3 + math.sqrt(a * a / 9 + 2 * a * n * rate * (1 - rate))))


def placed(sample: Sequence[int], slots: int, seed: int) -> list[int]:
    """The sample in slots that are chosen uniformly at random, `EMPTY` in the others.

    Args:
        sample: indices of records.
        slots: no fewer.
        seed: secret.
    """
    chosen = torch.randperm(slots, generator=torch.Generator().manual_seed(seed))[: len(sample)]
    rows = torch.full((slots,), EMPTY)
    rows[chosen] = torch.tensor(sample, dtype=torch.long)
    return rows.tolist()


def in_whole(records: int, size: int) -> int:
    """The number rounded up to a multiple of `size`."""
    return -(-records // size) * size
