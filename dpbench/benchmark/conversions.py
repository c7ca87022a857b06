"""Noise multiplier, steps and ε of DP-SGD, or of any repeated Gaussian release: two give the third.

For `dpbench privacy` without a method. Needs no data and no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table

from dpbench.core.errors import DpbenchError
from dpbench.core.specs import Budget, default_delta
from dpbench.privacy.accounting import SECOND_DELTA
from dpbench.privacy.calibration import calibrate, most_releases, priced
from dpbench.privacy.mechanisms import NoisySum
from dpbench.privacy.plan import CalibratedPlan, Plan

EXAMPLE = "e.g. --records 60000 --batch 2048 --steps 150 --eps 1"


@dataclass(frozen=True)
class Numbers:
    """What a command line may say of a mechanism, besides noise and ε.

    Attributes:
        records: number of records n; not needed where rate and δ are given.
        batch: expected batch; the sampling rate is batch / n.
        rate: sampling rate, in place of `batch`.
        steps: how many releases.
    """

    records: int | None = None
    batch: int | None = None
    rate: float | None = None
    steps: int | None = None

    def sampling_rate(self) -> float:
        """The rate as given, or batch / records.

        Raises:
            DpbenchError: too little or too much is given, or the batch exceeds the records.
        """
        if (self.batch is None) == (self.rate is None):
            raise DpbenchError(f"give either --batch with --records, or --rate; {EXAMPLE}")
        if self.rate is not None:
            return self.rate
        if self.records is None or self.batch is None:
            raise DpbenchError(f"--batch needs --records: the sampling rate is batch / records; {EXAMPLE}")
        if not 0 < self.batch <= self.records:
            raise DpbenchError(f"an expected batch of {self.batch} cannot be drawn from {self.records} records")
        return self.batch / self.records

    def default_delta(self) -> float:
        """δ = 1 / (n ln n).

        Raises:
            DpbenchError: n is not given.
        """
        if self.records is None:
            raise DpbenchError("give --delta, or --records for the default of 1 / (n ln n)")
        return default_delta(self.records)


@dataclass(frozen=True)
class Question:
    """What is known of one mechanism; None is not.

    Attributes:
        rate: sampling rate, in (0, 1].
        delta: δ.
        epsilon: ε of all steps together.
        noise: noise multiplier.
        steps: how many releases.
    """

    rate: float
    delta: float
    epsilon: float | None = None
    noise: float | None = None
    steps: int | None = None

    def mechanism(self) -> NoisySum:
        """The mechanism in question, as far as it is known."""
        count = 1 if self.steps is None else self.steps
        return NoisySum(name="steps", clip=1.0, rate=self.rate, count=count, noise_multiplier=self.noise)


def _find_noise(q: Question) -> CalibratedPlan:
    assert q.epsilon is not None
    return calibrate(Plan(q.mechanism()), Budget(q.epsilon, q.delta))


def _find_epsilon(q: Question) -> CalibratedPlan:
    return priced(Plan(q.mechanism()), q.delta)


def _find_steps(q: Question) -> CalibratedPlan:
    assert q.epsilon is not None
    return _find_epsilon(replace(q, steps=most_releases(q.mechanism(), Budget(q.epsilon, q.delta))))


ANSWERS: dict[frozenset[str], tuple[str, Callable[[Question], CalibratedPlan]]] = {
    frozenset({"--eps", "--steps"}): ("noise", _find_noise),
    frozenset({"--noise", "--steps"}): ("ε", _find_epsilon),
    frozenset({"--eps", "--noise"}): ("steps", _find_steps),
}
"""What is known -> what is asked for, and how it is found."""


def conversion_table(
    numbers: Numbers, noise: float | None, epsilons: Sequence[float], delta: float | None
) -> RenderableType:
    """A line per ε: what was given, and in bold what follows.

    Args:
        numbers: what is given besides noise and ε.
        noise: noise multiplier, or None.
        epsilons: budgets; none where ε is asked for.
        delta: δ, by default 1 / (n ln n).

    Raises:
        DpbenchError: too little or too much is given, or there is no such plan.
    """
    rate = numbers.sampling_rate()
    delta = numbers.default_delta() if delta is None else delta
    given = {"--eps": bool(epsilons), "--noise": noise is not None, "--steps": numbers.steps is not None}
    known = frozenset(option for option, is_given in given.items() if is_given)
    if known not in ANSWERS:
        raise DpbenchError(f"give two of --eps, --noise and --steps, and the third is found; {EXAMPLE}")
    wanted, find = ANSWERS[known]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    at_second = f"ε at {SECOND_DELTA:.0e}"
    for heading in ("rate", "steps", "noise", "ε", "δ", "ε by RDP", at_second, "μ"):
        table.add_column(heading, justify="right", style="bold" if heading == wanted else "")
    asked: Sequence[float | None] = epsilons or [None]
    for epsilon in asked:
        plan = find(Question(rate, delta, epsilon, noise, numbers.steps))
        (m,) = plan.mechanisms
        rest = (plan.epsilon_rdp, plan.epsilon_at_second_delta, plan.mu)
        table.add_row(
            f"{m.sampling_rate:.4g}",
            f"{m.releases}",
            f"{m.noise_multiplier:.4g}",
            f"{plan.epsilon:.4g}",
            f"{delta:.2g}",
            *(f"{number:.4g}" for number in rest),
        )
    return table
