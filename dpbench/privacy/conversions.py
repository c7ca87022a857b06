"""Noise multiplier, number of steps and ε of DP-SGD, or of any repeated Gaussian release: two determine the third.

Needs no data and no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dpbench.core.specs import Budget
from dpbench.privacy.calibration import calibrate, most_releases, priced
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.plan import CalibratedPlan, Plan


@dataclass(frozen=True)
class Releases:
    """A repeated Gaussian release; exactly one of ε, the noise multiplier and the number of steps is unknown.

    Attributes:
        rate: sampling rate, in (0, 1].
        delta: δ of all steps together.
        epsilon: ε of all steps together; None if unknown.
        noise: noise multiplier; None if unknown.
        steps: number of releases; None if unknown.
    """

    rate: float
    delta: float
    epsilon: float | None = None
    noise: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if [self.epsilon, self.noise, self.steps].count(None) != 1:
            raise ValueError("give two of epsilon, noise and steps")


def convert(known: Releases) -> CalibratedPlan:
    """The plan of one mechanism that `known` describes, with its noise multiplier, number of releases and ε.

    Raises:
        PrivacyError: there is no such plan, or a number is out of range.
    """
    steps = 1 if known.steps is None else known.steps
    mechanism = NoisySum(name="steps", clip=1.0, rate=known.rate, count=steps, noise_multiplier=known.noise)
    if known.epsilon is None:
        return priced(Plan(mechanism), known.delta)
    budget = Budget(known.epsilon, known.delta)
    if known.noise is None:
        return calibrate(Plan(mechanism), budget)
    return priced(Plan(replace(mechanism, count=most_releases(mechanism, budget))), known.delta)
