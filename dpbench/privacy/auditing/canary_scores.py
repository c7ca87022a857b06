"""Scores of canaries, from a mechanism's releases in the coordinates that hold only canaries and noise.

In units of the clip, a release holds x_i = k_i + σ z_i for canary i: σ is the planned noise multiplier, and z_i is
standard normal. If the canary is in, k_i is 1 with probability q, the planned sampling rate, and else 0. If it is out,
k_i is 0. That is the claim. A canary's score is the logarithm of its likelihood ratio under the claim,

    Σ over releases of log(1 - q + q exp((2 x_i - 1) / 2σ²)),

the most powerful test of whether it is in. The claim is also compared with x itself: its scale where no canary is in,
its mean where one is, and the correlation of successive releases.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpbench.privacy.auditing.measurements import ROUNDING, SIGMAS, noise_faults, noise_scale
from dpbench.privacy.auditing.one_run import Run
from dpbench.privacy.mechanisms.mechanism import Mechanism


class Measured(NamedTuple):
    """A measurement whose planned value is 1, with its standard error if the plan holds."""

    value: float
    error: float

    @property
    def is_off(self) -> bool:
        """Whether it contradicts the plan."""
        return not abs(self.value - 1) <= SIGMAS * self.error + ROUNDING

    def __str__(self) -> str:
        digits = max(0, min(4, 1 - math.floor(math.log10(self.error))))
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


class Scores:
    """Running scores over the releases of one mechanism.

    Args:
        mechanism: with its planned noise.
        present: [m] which canaries are in.

    Attributes:
        values: [m] the canaries' scores so far.
        releases: number of releases seen.
    """

    def __init__(self, mechanism: Mechanism, present: NDArray[np.bool_]):
        assert mechanism.noise_multiplier is not None
        self.mechanism = mechanism
        self.values = np.zeros(len(present))
        self.releases = 0
        self._present = present
        self._sigma = mechanism.noise_multiplier
        self._absent: list[NDArray[np.float64]] = []
        self._sum = 0.0

    def see(self, release: NDArray[np.float64]) -> None:
        """Adds a release.

        Args:
            release: [1 + m] released values of nobody's coordinate and the canaries'.
        """
        x, q = release / self.mechanism.clip, self.mechanism.sampling_rate
        self.releases += 1
        with np.errstate(divide="ignore"):  # log 0 at rate 1
            self.values += np.logaddexp(np.log1p(-q), np.log(q) + (2 * x[1:] - 1) / (2 * self._sigma**2))
        self._sum += float(x[1:][self._present].sum())
        self._absent.append(np.append(x[0], x[1:][~self._present]) / self._sigma)

    @property
    def noise(self) -> Measured | None:
        """Scale of the noise, in units of the planned one; None before the first release."""
        if not self.releases:
            return None
        return Measured(noise_scale(np.array(self._absent)), 1 / math.sqrt(2 * sum(map(len, self._absent))))

    @property
    def contribution(self) -> Measured | None:
        """Mean contribution of a canary that is in and sampled, in units of the clip; None where all are out."""
        q, expected = self.mechanism.sampling_rate, self._present.sum() * self.releases * self.mechanism.sampling_rate
        if not expected:
            return None
        return Measured(self._sum / expected, math.sqrt((self._sigma**2 / q + 1 - q) / expected))

    def faults(self, receipts: int, forfeited: int = 0) -> Iterator[str]:
        """Contradictions of the claim, one line each.

        Args:
            receipts: number of releases in the ledger.
            forfeited: number of planned releases that were given up.
        """
        planned, what = self.mechanism.releases - forfeited, f"'{self.mechanism.name}'"
        if not self.releases == receipts == planned:
            yield f"{what} was released {self.releases} times; the plan says {planned}, the receipts say {receipts}"
        if self.releases:
            yield from noise_faults(np.array(self._absent), what)
        if self.contribution and self.contribution.is_off:
            yield f"a canary contributes {self.contribution} times the clip to {what}, on average"


def simulated(mechanisms: Sequence[Mechanism], count: int, noise: float, random: np.random.Generator) -> Run:
    """Scores and coins of `count` canaries if the plan of these mechanisms holds with `noise` times its noise."""
    present = random.random(count) < 0.5
    scores = [Scores(m, present) for m in mechanisms]
    for seen in scores:
        rate, sigma = seen.mechanism.sampling_rate, seen.mechanism.noise_multiplier
        assert sigma is not None
        for _ in range(seen.mechanism.releases):
            release = noise * sigma * random.standard_normal(count + 1)
            release[1:] += present & (random.random(count) < rate)
            seen.see(release * seen.mechanism.clip)
    return np.sum([seen.values for seen in scores], axis=0), present
