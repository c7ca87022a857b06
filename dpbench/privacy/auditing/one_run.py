"""Lower bounds on ε from one run: m canaries, each in or out by a fair coin, and r guesses about them.

There are two bounds on the probability of c right guesses. For (ε, δ)-DP, the bound of Steinke, Nasr and Jagielski
(arXiv 2305.08846, theorem 5.2): with W ~ Binomial(r, e^ε / (1 + e^ε)),

    P[right ≥ c] ≤ P[W ≥ c] + 2 m δ · max over i of P[c > W ≥ c - i] / i.

For a trade-off curve, the bound of Mahloujifar, Melis and Chaudhuri (arXiv 2410.22235), which is tighter. Let p_w be
the probability of w right guesses, and take a canary i at random. For every v, the events "i is guessed right, and at
least v are right" and "i is guessed wrong, and at least v - 1 are right" are exchanged when i's coin is flipped, so

    a_v = Σ_{w ≥ v} p_w w / m   and   b_v = Σ_{w ≥ v-1} p_w (r - w) / m   satisfy   a_v ≤ power(b_v).

If P[right ≥ c] = α, then a_c ≥ α c / m and b_{c+1} ≤ α (r - c) / m. Going down, b_v ≥ inverse(a_v), which gives
p_{v-1}, and so a_{v-1}: each step makes these probabilities as small as the curve allows. If they sum to more than 1,
that is a_1 + b_1 > r / m, the curve cannot make c right guesses as likely as α.

The larger bound is reported. It fails wherever one of the two does, so each gets half of the failure probability.

The number of guesses is chosen on simulations, without using the run. There are two numbers: the best one if the plan
holds, and the best one if half of its noise is missing. A few sure guesses cannot refute a large ε, even if all are
right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binom

from dpbench.privacy.accounting.events import Event
from dpbench.privacy.auditing.curves import TradeOff, refuted_epsilon

LARGEST = 50.0
"""Largest ε that a bound can state."""

BOUNDS = 2
"""Number of bounds from the same guesses."""

SHARES = (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
"""Shares of the canaries about which guesses may be made."""


@dataclass(frozen=True)
class Guesses:
    """The number of guesses about canaries, fixed beforehand, and the number of right ones.

    Attributes:
        canaries: m.
        made: r ≤ m.
        right: c ≤ r.
    """

    canaries: int
    made: int
    right: int

    def p_value(self, epsilon: float, delta: float) -> float:
        """Largest probability of at least as many right guesses under (ε, δ)-DP; 1 where there is no bound."""
        rate = 1 / (1 + np.exp(-epsilon))
        within = np.arange(1, self.right + 1)
        below = np.cumsum(binom.pmf(self.right - within, self.made, rate)) / within
        correction = 2 * self.canaries * delta * below.max(initial=0.0)
        return float(min(1.0, binom.sf(self.right - 1, self.made, rate) + correction))

    def lower_bound(self, delta: float, failure: float) -> float:
        """Largest ε at which this many right guesses are at most as likely as `failure`; smaller ones are refuted."""
        if self.p_value(0.0, delta) > failure:
            return 0.0
        if self.p_value(LARGEST, delta) <= failure:
            return LARGEST
        return float(brentq(lambda e: self.p_value(e, delta) - failure, 0.0, LARGEST, xtol=1e-6))

    def refute(self, curve: TradeOff, failure: float) -> bool:
        """Whether the curve makes this many right guesses less likely than `failure`."""
        m, r, c = self.canaries, self.made, self.right
        a, b = failure * c / m, failure * (r - c) / m
        for v in range(c, 0, -1):
            least = max(b, curve.inverse(a))
            a, b = a + (v - 1) / (r - v + 1) * (least - b), least
            if a + b > r / m:
                return True
        return False


@dataclass(frozen=True)
class Attempt:
    """Guesses that the canaries with the highest scores are in, and those with the lowest out.

    Attributes:
        looks_in: number guessed to be in.
        looks_out: number guessed to be out.
    """

    looks_in: int
    looks_out: int

    def guess(self, scores: NDArray[np.float64], present: NDArray[np.bool_]) -> Guesses:
        """The guesses from scores [m], larger for more evidence of presence, compared with the coins [m]."""
        ascending = present[np.argsort(scores)]
        low, high = ascending[: self.looks_out], ascending[len(ascending) - self.looks_in :]
        return Guesses(len(scores), self.looks_in + self.looks_out, int(high.sum() + (~low).sum()))


Run = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Scores [m] and coins [m]."""


def best_attempt(simulations: Sequence[Run], delta: float, failure: float) -> Attempt:
    """The attempt with the largest average bound by (ε, δ)-DP over simulated runs of the same number of canaries."""
    m = len(simulations[0][0])
    halves = [max(1, round(m * share / 2)) for share in SHARES]
    attempts = [Attempt(k, out) for k in halves for out in (min(k, m - k), 0)]

    def bound(attempt: Attempt) -> float:
        return sum(attempt.guess(*run).lower_bound(delta, failure) for run in simulations)

    return max(attempts, key=bound)


@dataclass(frozen=True)
class OneRun:
    """The lower bounds from one run's canaries.

    Attributes:
        guesses: those that gave the bound by the curve, or the first ones.
        by_epsilon: lower bound on ε by (ε, δ)-DP.
        by_curve: lower bound on ε by the composition's trade-off curve.
    """

    guesses: Guesses
    by_epsilon: float
    by_curve: float


def failure_of_each(confidence: float, numbers: int) -> float:
    """The failure probability of one bound from one number of guesses, so that all of them together have `confidence`.

    Args:
        confidence: probability that every bound holds if the claim is true.
        numbers: how many numbers of guesses are tried.
    """
    return (1 - confidence) / (BOUNDS * numbers)


def one_run(tried: Sequence[Guesses], events: Sequence[Event], delta: float, confidence: float) -> OneRun:
    """Both lower bounds from the guesses of one run.

    Args:
        tried: guesses about the same canaries, with numbers fixed beforehand.
        events: the claimed composition.
        delta: δ at which ε is stated.
        confidence: a true claim is refuted, by either bound, with probability at most 1 - confidence.
    """
    failure = failure_of_each(confidence, len(tried))
    best = tried[0]

    def refute(curve: TradeOff) -> bool:
        nonlocal best
        refuting = next((g for g in tried if g.refute(curve, failure)), None)
        best = refuting or best
        return refuting is not None

    by_curve = refuted_epsilon(events, delta, refute)
    return OneRun(best, max(g.lower_bound(delta, failure) for g in tried), by_curve)
