"""Where a budget goes: each mechanism's share in the privacy loss of a composition.

ε of a composition is not the sum of its mechanisms' ε. But Rényi divergences of one order do add up, and ε at δ follows
from their sum at the order that gives the smallest ε (Mironov, arXiv 1702.07476). A mechanism's share is its part of
that sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from dpbench.privacy.accounting.composition import epsilon_and_order
from dpbench.privacy.accounting.events import Event


def shares(mechanisms: Sequence[Sequence[Event]], delta: float) -> list[float]:
    """The share of each mechanism, in [0, 1]; together 1, or all 0 for no releases.

    Mechanisms without noise share everything equally. Non-Gaussian noise on a Poisson sample counts as noise on all
    records, as for `accounting.epsilon_rdp`.

    Args:
        mechanisms: the events of each; see `mechanisms.Mechanism.events`.
        delta: at which ε is stated, in (0, 1).
    """
    exact = [float(any(e.noise_multiplier == 0 for e in events)) for events in mechanisms]
    if any(exact):
        return [each / sum(exact) for each in exact]
    if not any(mechanisms):
        return [0.0 for _ in mechanisms]
    _, order = epsilon_and_order(list(chain.from_iterable(mechanisms)), delta)
    divergences = np.array([sum(e.count * e.renyi([order])[0] for e in events) for events in mechanisms])
    return (divergences / divergences.sum()).tolist()
