"""Chooses batch, number of steps and trained weights for a budget, from the signal and noise of one step.

Let h_i be record i's clipped gradient and h their mean. A step sees h + z, where z has two independent parts: the DP
noise, of variance (noise multiplier · clip)² on each of d trained weights, and Poisson sampling. Both are divided by
the expected batch B, so that

    E‖z‖² = d · (noise multiplier · clip / B)² + (1 - B/n) · mean ‖h_i‖² / B,    snr² = ‖h‖² / E‖z‖².

On a loss L of curvature c in every direction, a step of size η lowers the loss by η ⟨∇L, h⟩ - η² c/2 (‖h‖² + E‖z‖²)
on average, and the best step by

    (1 / 2c) · pull² · snr² / (1 + snr²),    pull = ⟨∇L, h⟩ / ‖h‖:

the decrease of a step without noise (pull is ‖∇L‖ where clipping only scales) times the share that noise leaves of it.
Without DP noise it is the law of large-batch training (McCandlish et al., 1812.06162). A plan of T such steps makes
`progress` T · pull² · snr² / (1 + snr²).

If the compute fixes B · T, the best B lies in between. A large batch takes few steps. A small one meets more noise: at
a given ε the noise multiplier follows B · √T only while it is well above 1 (Sander et al., 2210.03403), and noise
multiplier / B falls with B (Räisä et al., 2402.03990). The smaller ε is, the more this matters and the larger the best
batch is. De et al. (2204.13650) found that large batches pay; McKenna et al. (2501.18914) fit the trade-off on language
models.

Limits. Curvature differs between directions, and between adapters and the weights that they change, so comparisons
between sets of trained weights are rough. Adam is not gradient descent, and `lr` and `ema` are not adapted. The signal
falls during training; here it is measured near the start. It is also measured on public images, often on those that the
model was pretrained on, or with meaningless labels: where their signal is smaller than that of private images, the
chosen batches are larger. The optimum is flat: a factor of two costs little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count, takewhile

from dpbench.core.errors import ConfigError
from dpbench.core.specs import Budget
from dpbench.privacy.calibration import rough_scale
from dpbench.privacy.mechanisms.mechanism import DPSGD
from dpbench.privacy.plan import Plan

SMALLEST_BATCH = 32

KEPT = 0.5
"""Share of the best progress below which the search in a direction ends."""


@dataclass(frozen=True)
class Gradients:
    """Summary of the per-record gradients of a model.

    Attributes:
        weights: number of trained weights.
        signal: norm ‖h‖ of the mean clipped gradient.
        rms: root mean square of the clipped gradients' norms.
        pull: ⟨mean gradient, h⟩ / ‖h‖: the component of the true gradient along the steps.
    """

    weights: int
    signal: float
    rms: float
    pull: float


@dataclass(frozen=True)
class Candidate:
    """A DP-SGD within a budget, with its expected progress.

    Attributes:
        mechanism: expected batch, steps and calibrated noise.
        gradients: from which progress is estimated.
    """

    mechanism: DPSGD
    gradients: Gradients

    @property
    def snr(self) -> float:
        """Signal-to-noise ratio of a step: norm of its expectation over root mean square of the rest."""
        m, g = self.mechanism, self.gradients
        assert m.noise_multiplier is not None
        noise = g.weights * (m.noise_multiplier * m.clip) ** 2  # of a sum; a step divides both by the expected batch
        sampling = (1 - m.sampling_rate) * m.expected_batch * g.rms**2
        return m.expected_batch * g.signal / math.sqrt(noise + sampling) if noise + sampling else math.inf

    @property
    def progress(self) -> float:
        """Steps · pull² · share left by the noise: comparable between candidates for one model and dataset."""
        share = 1 / (1 + self.snr**-2)
        return self.mechanism.steps * self.gradients.pull**2 * share


def the_dp_sgd(plan: Plan) -> DPSGD:
    """The DP-SGD mechanism of a plan.

    Raises:
        ConfigError: it has none, several, or one with a schedule.
    """
    found = [m for m in plan.mechanisms if isinstance(m, DPSGD)]
    if len(found) != 1:
        raise ConfigError(f"the planner plans one DP-SGD mechanism; this plan has {len(found) or 'none'}")
    found[0].refuse_schedule("the planner")
    return found[0]


def survey(plan: Plan, budget: Budget, gradients: Gradients, compute: int | None = None) -> list[Candidate]:
    """The plan's DP-SGD with other batches, as many steps as the compute allows, and the noise that ε then needs.

    Batches go up and down from the plan's own in factors of two, until one makes less than `KEPT` of the best progress.
    Two more are tried between the best one and its neighbours.

    Args:
        plan: with one DP-SGD mechanism; the others are not changed.
        budget: a finite, positive ε.
        gradients: gradients of the model that the plan trains.
        compute: records to process, batch · steps; by default as many as in the plan.

    Returns:
        Candidates in order of the batch.

    Raises:
        ConfigError: there is not one DP-SGD mechanism, or the compute is less than a batch.
        PrivacyError: the budget does not pay for the plan's other mechanisms.
    """
    given = the_dp_sgd(plan)
    start = given.expected_batch
    compute = start * given.steps if compute is None else compute
    if compute < start:
        raise ConfigError(f"a compute of {compute} records is less than a batch of {start}; set a smaller batch")

    def candidate(batch: int) -> Candidate:
        stated = plan.having(replace(given, expected_batch=batch, steps=compute // batch))
        return Candidate(the_dp_sgd(stated.with_scale(rough_scale(stated, budget))), gradients)

    found = {start: candidate(start)}
    upwards = takewhile(lambda batch: batch <= min(given.n, compute), (start * 2**k for k in count(1)))
    downwards = takewhile(lambda batch: batch >= SMALLEST_BATCH, (start // 2**k for k in count(1)))
    for batches in (upwards, downwards):
        for batch in batches:
            found[batch] = candidate(batch)
            if found[batch].progress < KEPT * best(found.values()).progress:
                break
    middle = best(found.values()).mechanism.expected_batch
    between = {round(middle / 2**0.5), round(middle * 2**0.5)}
    found |= {batch: candidate(batch) for batch in between if min(found) < batch < max(found)}
    return [found[batch] for batch in sorted(found)]


def best(candidates: Iterable[Candidate]) -> Candidate:
    """The candidate with the largest progress."""
    return max(candidates, key=lambda c: c.progress)
