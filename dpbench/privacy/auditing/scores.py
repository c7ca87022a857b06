"""What an audit sees of a mechanism's releases: in the canaries' coordinates, where there is nothing but them and noise.

In units of the clip, a release holds x_i = k_i + σ z_i for canary i: σ is the planned noise multiplier, z_i standard
normal, and k_i is 1 with the planned sampling rate q where the canary is in, 0 where it is out. That is the claim. The
score of a canary is the logarithm of its likelihood ratio under it,

    Σ over releases of log(1 - q + q exp((2 x_i - 1) / 2σ²)),

the most powerful test of whether it is in. And the claim is compared with x itself: its scale where no canary is in, its
mean where one is, and whether the noise of one release tells anything about that of the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dpbench.privacy.auditing.checks import ROUNDING, SIGMAS, noise_faults, noise_scale
from dpbench.privacy.mechanisms import Mechanism


class Scores:
    """The releases of one mechanism, as they come.

    Args:
        mechanism: with its planned noise.
        present: [m] which canaries are in.

    Attributes:
        values: [m] the canaries' scores so far.
        releases: how many releases were seen.
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
        """Takes a release into account.

        Args:
            release: [1 + m] what was released in the canaries' coordinates, the first being nobody's.
        """
        x, q = release / self.mechanism.clip, self.mechanism.sampling_rate
        self.releases += 1
        with np.errstate(divide="ignore"):  # log 0 at rate 1
            self.values += np.logaddexp(np.log1p(-q), np.log(q) + (2 * x[1:] - 1) / (2 * self._sigma**2))
        self._sum += float(x[1:][self._present].sum())
        self._absent.append(np.append(x[0], x[1:][~self._present]) / self._sigma)

    @property
    def noise(self) -> float:
        """Measured scale of the noise, in units of the planned one."""
        return noise_scale(np.array(self._absent)) if self._absent else math.nan

    @property
    def contribution(self) -> float:
        """Measured mean contribution of a canary that is in and sampled, in units of the clip."""
        expected = self.mechanism.sampling_rate * self._present.sum() * self.releases
        return float(self._sum / expected) if expected else math.nan

    def faults(self, receipts: int) -> Iterator[str]:
        """What contradicts the claim, one line each.

        Args:
            receipts: how many releases the ledger counts.
        """
        q, sigma, planned, what = self.mechanism.sampling_rate, self._sigma, self.mechanism.releases, self._what
        if not self.releases == receipts == planned:
            yield f"{what} was released {self.releases} times; the plan says {planned}, the receipts say {receipts}"
        if not self.releases:
            return
        yield from noise_faults(np.array(self._absent), what)
        error = math.sqrt((sigma**2 / q + 1 - q) / (q * max(1, self._present.sum()) * self.releases))
        if self._present.any() and not abs(self.contribution - 1) <= SIGMAS * error + ROUNDING:
            yield f"a canary contributes {self.contribution:.4g} times the clip to {what}, on average"

    @property
    def _what(self) -> str:
        return f"'{self.mechanism.name}'"
