"""Lower bounds on ε from many runs, with and without one canary: the classical test (Jagielski et al., 2006.07709).

A threshold on the canary's score is chosen on a quarter of the runs. On the others, Clopper-Pearson intervals bound
how often scores exceed it without the canary (from above) and with it (from below); a trade-off curve that does not
allow such a test is refuted (Nasr et al., arXiv 2302.07956, for Gaussian curves).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from dpbench.privacy.accounting.events import Event
from dpbench.privacy.auditing.curves import TradeOff, refuted_epsilon

THRESHOLDS = 100
"""Number of candidate thresholds."""

CHOOSING = 4
"""One in this many runs is used to choose the threshold."""


@dataclass(frozen=True)
class Rates:
    """Bounds on a test's two rates that hold jointly at some confidence.

    Attributes:
        false_positives: upper bound.
        true_positives: lower bound.
    """

    false_positives: float
    true_positives: float

    @classmethod
    def of(cls, passed_absent: int, absent: int, passed_present: int, present: int, failure: float) -> Rates:
        """Clopper-Pearson bounds, each of which fails with probability at most failure / 2.

        Args:
            passed_absent: number of runs without the canary that exceed the threshold, out of `absent`.
            passed_present: number of runs with the canary that exceed it, out of `present`.
        """
        high, low = 1.0, 0.0
        if passed_absent < absent:
            high = betaincinv(passed_absent + 1, absent - passed_absent, 1 - failure / 2)
        if passed_present:
            low = betaincinv(passed_present, present - passed_present + 1, failure / 2)
        return cls(float(high), float(low))

    def refute(self, curve: TradeOff) -> bool:
        """Whether the curve allows no test with such rates."""
        return self.true_positives > curve.power(self.false_positives)

    @property
    def gaussian(self) -> float:
        """μ of the Gaussian trade-off curve through the rates (Dong, Roth and Su, arXiv 1905.02383)."""
        return float(ndtri(self.true_positives) - ndtri(self.false_positives))


def many_runs(
    present: NDArray[np.float64],
    absent: NDArray[np.float64],
    events: Sequence[Event],
    delta: float,
    confidence: float,
) -> float:
    """A lower bound on ε from the scores of independent runs with the canary and without it.

    Args:
        present: scores of runs with it, larger for more evidence of presence; at least 4.
        absent: scores of runs without it; at least 4.
        events: the claimed composition of one run.
        delta: δ at which ε is stated.
        confidence: a true claim is refuted with probability at most 1 - confidence.
    """
    failure = 1 - confidence
    chosen_on = present[::CHOOSING], absent[::CHOOSING]
    tested_on = _others(present), _others(absent)
    candidates = np.quantile(np.concatenate(chosen_on), np.linspace(0, 1, THRESHOLDS))
    threshold = max(candidates, key=lambda t: _rates(*chosen_on, t, failure).gaussian)
    return refuted_epsilon(events, delta, _rates(*tested_on, threshold, failure).refute)


def _others(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return scores[np.arange(len(scores)) % CHOOSING > 0]


def _rates(present: NDArray[np.float64], absent: NDArray[np.float64], threshold: float, failure: float) -> Rates:
    passed = int((absent > threshold).sum()), int((present > threshold).sum())
    return Rates.of(passed[0], len(absent), passed[1], len(present), failure)
