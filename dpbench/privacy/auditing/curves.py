"""Trade-off curves: the best test that a composition of Gaussian mechanisms allows, and the ε that a test refutes.

A test decides whether a record was present. If it is wrong with probability x when the record was absent, its power is
at most

    power(x) = min over ε of (δ(ε) + e^ε x),

where δ(ε) is the composition's privacy profile, the same in both directions (a record added or removed): (ε, δ(ε))-DP
for all ε at once (Dong, Roth and Su, arXiv 1905.02383, proposition 6). A finite grid of ε makes the curve an upper
bound.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from dpbench.privacy.accounting.composition import compose, epsilon_pld, rough_grid
from dpbench.privacy.accounting.events import Event

POINTS = 200
"""Number of values of ε at which a privacy profile is evaluated."""

NEGLIGIBLE = 1e-9
"""δ at which a privacy profile ends."""

FEW = 500
"""Up to `FEW` releases are composed on a coarser grid: rounding adds less than 0.2% of ε."""

STEP = 1.01
"""Ratio of neighbouring noise scales in the search; a bound is the ε at one of them."""

STRONGEST, WEAKEST = -210, 420
"""Range of powers of `STEP` by which the planned noise is scaled: from an eighth to 65 times."""


@dataclass(frozen=True)
class TradeOff:
    """The tests that (ε_i, δ_i)-DP allows, for all i and in both directions.

    Attributes:
        epsilons: ε_i ≥ 0, ascending: [p].
        deltas: δ_i: [p].
    """

    epsilons: NDArray[np.float64]
    deltas: NDArray[np.float64]

    def power(self, x: float) -> float:
        """The largest probability of an event that has probability x under the neighbouring dataset."""
        adding = (self.deltas + self._growth * x).min()
        removing = (1 - (1 - self.deltas - x) / self._growth).min()
        return float(min(1.0, adding, removing))

    def inverse(self, y: float) -> float:
        """The smallest probability of an event that has probability y under the neighbouring dataset."""
        adding = ((y - self.deltas) / self._growth).max()
        removing = (1 - self.deltas - (1 - y) * self._growth).max()
        return float(max(0.0, adding, removing))

    @cached_property
    def _growth(self) -> NDArray[np.float64]:
        return np.exp(self.epsilons)


@lru_cache(maxsize=1024)
def trade_off(events: tuple[Event, ...]) -> TradeOff:
    """The curve of a composition of noisy releases, never below the true one."""
    few = sum(e.count for e in events) <= FEW
    loss = compose(events, rough_grid(events, 4.0 if few else 1.0))
    epsilons = np.linspace(0, loss.get_epsilon_for_delta(NEGLIGIBLE), POINTS)
    return TradeOff(epsilons, np.asarray(loss.get_delta_for_epsilon(epsilons)))


def refuted_epsilon(events: Sequence[Event], delta: float, refutes: Callable[[TradeOff], bool]) -> float:
    """A lower bound on ε: that of the planned composition with its noise scaled until an observation refutes it.

    All noise is scaled by one factor. More noise allows less, so there is a scale above which every curve is refuted.

    Args:
        events: the planned composition, all of it noisy.
        delta: δ at which ε is stated.
        refutes: whether the observation refutes a curve at the desired confidence.

    Returns:
        0 if not even the `WEAKEST` composition is refuted; the ε of the `STRONGEST` one if all are.
    """

    def scaled(power: int) -> tuple[Event, ...]:
        return tuple(replace(e, noise_multiplier=e.noise_multiplier * STEP**power) for e in events)

    def is_refuted(power: int) -> bool:
        return refutes(trade_off(scaled(power)))

    weaker = 1  # distance from the planned noise, doubled at each try because curves of little noise are slow
    if is_refuted(0):
        while -weaker > STRONGEST and is_refuted(-weaker):
            weaker *= 2
        candidates = range(max(STRONGEST, -weaker), 1)
    else:
        while weaker < WEAKEST and not is_refuted(weaker):
            weaker *= 2
        candidates = range(1, min(WEAKEST, weaker) + 1)
    first = bisect_left(candidates, True, key=is_refuted)
    if first == len(candidates):
        return 0.0
    return epsilon_pld(scaled(candidates[first]), delta)
