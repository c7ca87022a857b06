"""The placement of a step's records in the rows of its batches: a secret permutation over slots.

A loss may treat rows differently: null labels for the first tenth of them, weights by row, noise levels spread evenly
over the batch. If records filled rows in the order of the dataset, a sampled record would shift all records behind it,
and its presence would change more than its own gradient: the step would not be a Poisson-subsampled Gaussian mechanism.

So the sampled records are placed in S slots by a uniformly random injection, where S is a public constant, and the
other slots are padding. Adding record r changes only r's own slot, by this coupling: draw one uniform injection for r
and the other sampled records together. A uniform injection of a set, restricted to a subset, is a uniform injection of
the subset, so the others' slots have the same joint law with and without r. The random draws of a slot do not depend
on the record in it (a micro-batch of padding alone is skipped, but the law of a generator's stream is the same from
every position on). Given the others' slots and draws, their gradients are the same with and without r, and r adds one
clipped gradient in place of padding. The hockey-stick divergence is jointly convex, so the mixture over samples, slots
and draws costs no more than the Poisson-subsampled Gaussian mechanism that is planned.

A sample larger than S gets additional micro-batches (none is truncated), and adding r may change their number. S is
chosen such that this happens in any step with a probability of at most `OVERFLOW` times δ. The number of other sampled
records has the same law with and without r, so this is one more mixture, and δ exceeds the stated one by at most a
millionth of it.

An order-free loss (see `order`) needs no constant: rows are independent of each other, so their number does not matter,
and S is the size of the realised sample, rounded up to whole micro-batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dpbench.privacy.noise import Draws

OVERFLOW = 1e-6
"""Probability that the Poisson sample of any step has more records than there are slots, as a share of δ."""

ROOM = 2
"""Calls of a loss have rows for this many standard deviations above the expected size of a Poisson sample."""

EMPTY = -1
"""Index of a slot without a record."""


def most_sampled(n: int, rate: float, steps: int, delta: float) -> int:
    """Bound on the size of a Poisson sample of n records (Bernstein).

    P(X ≥ nq + t) ≤ exp(-t² / (2 (nq(1-q) + t/3))).

    Args:
        n: number of records.
        rate: sampling rate q.
        steps: number of steps.
        delta: δ; the sample of any step is larger with a probability of at most `OVERFLOW` · δ.
    """
    if rate == 1:
        return n
    a = -math.log(OVERFLOW * delta / steps)
    return min(n, math.ceil(n * rate + a / 3 + math.sqrt(a * a / 9 + 2 * a * n * rate * (1 - rate))))


def placed(sample: Sequence[int], slots: int, draws: Draws) -> list[int]:
    """The sample in slots chosen uniformly at random; the other slots are `EMPTY`.

    Args:
        sample: indices of records.
        slots: number of slots, at least the number of records.
        draws: the secret randomness of the release.
    """
    rows = np.full(slots, EMPTY)
    rows[draws.permutation(slots)[: len(sample)]] = sample
    return rows.tolist()


def in_whole(records: int, size: int) -> int:
    """The number rounded up to a multiple of `size`."""
    return -(-records // size) * size


def records_per_call(n: int, rate: float, fit: int) -> int:
    """Records per call of a loss, such that few calls are mostly padding.

    A call is padded, so its cost does not depend on its number of records. Calls of the size of the expected batch
    would need a second call for every other sample. These hold `ROOM` standard deviations more, in as few calls as
    possible.

    Args:
        n: number of records; 0 on a process that has none.
        rate: sampling rate.
        fit: records that fit into one call.

    Returns:
        at least 1
    """
    most = max(1, min(n, math.ceil(n * rate + ROOM * math.sqrt(n * rate * (1 - rate)))))
    return math.ceil(most / -(-most // fit))
