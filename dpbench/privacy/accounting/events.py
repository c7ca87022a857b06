"""The events of accounting: releases of one kind with one noise multiplier and one sampling rate.

An event is described by a pair of distributions that are at least as easy to tell apart as the outputs on any two
neighbouring datasets. Poisson sampling preserves this property (Zhu, Dong and Wang, 2106.08567, theorem 11).
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.errors import PrivacyError

if TYPE_CHECKING:
    import numpy as np
    from dp_accounting import DpEvent
    from dp_accounting.pld.pld_pmf import PLDPmf
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

LEAST_SAMPLED_LAPLACE = 0.002
"""Noise multiplier below which dp-accounting's losses for Laplace noise on a sample overflow."""


@dataclass(frozen=True)
class Event(ABC):
    """`count` releases with one noise multiplier, each over a Poisson sample at `sampling_rate` (1: all records)."""

    noise_multiplier: float
    sampling_rate: float
    count: int

    @abstractmethod
    def losses(self, grid: float) -> PrivacyLossDistribution:
        """The privacy losses of one release, rounded to multiples of `grid` such that no δ(ε) decreases."""

    @abstractmethod
    def largest_loss(self) -> float:
        """Approximately the largest privacy loss of one release in `losses`."""

    @abstractmethod
    def renyi(self, orders: Sequence[float]) -> np.ndarray:
        """The Rényi divergence of one release at each order, or an upper bound."""


@dataclass(frozen=True)
class GaussianEvent(Event):
    """Gaussian noise on a vector of L2 sensitivity 1: N(0, σ²) against N(1, σ²), with σ = `noise_multiplier`."""

    def losses(self, grid: float) -> PrivacyLossDistribution:
        """See `Event`."""
        from dp_accounting.pld import privacy_loss_distribution as pld

        return pld.from_gaussian_mechanism(
            self.noise_multiplier, sampling_prob=self.sampling_rate, value_discretization_interval=grid
        )

    def largest_loss(self) -> float:
        """See `Event`; for an output ten standard deviations away, beyond which dp-accounting truncates."""
        unsampled = 10 / self.noise_multiplier + 1 / (2 * self.noise_multiplier**2)
        return _of_a_sample(unsampled, self.sampling_rate)

    def renyi(self, orders: Sequence[float]) -> np.ndarray:
        """See `Event`; exact."""
        from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent

        release: DpEvent = GaussianDpEvent(self.noise_multiplier)
        sampled = PoissonSampledDpEvent(self.sampling_rate, release) if self.sampling_rate < 1 else release
        return _divergences(sampled, orders)


@dataclass(frozen=True)
class LaplaceEvent(Event):
    """Laplace noise on a vector of L1 sensitivity 1: Lap(0, b) against Lap(1, b), with b = `noise_multiplier`.

    One coordinate is the worst case. Lap(0, b) and Lap(s, b) have δ_s(ε) = 1 - exp((ε - s/b) / 2) for |ε| ≤ s/b, so
    g_s = 1 - δ_s is min(1, exp((ε - s/b) / 2), exp(ε)). Let a record move two coordinates by s ≤ t. Then 1 - δ(ε) is
    the mean of g_t(ε - L) over the loss L of the first, which lies between -s/b and s/b. For 0 ≤ ε ≤ (t - s)/b this is
    g_{s+t}(ε) · (1 + s / 2b); for larger ε up to (s + t)/b it is g_{s+t}(ε) · (1 + (s + t - bε) / 4b). Neither is below
    g_{s+t}(ε); by symmetry, the same holds for negative ε. So moving one coordinate by s + t is easier to detect, and
    by induction this holds for any number of coordinates.
    """

    def losses(self, grid: float) -> PrivacyLossDistribution:
        """See `Event`."""
        from dp_accounting.pld import privacy_loss_distribution as pld

        if self.sampling_rate < 1 and self.noise_multiplier < LEAST_SAMPLED_LAPLACE:
            raise PrivacyError(
                f"Laplace noise on a sample needs a multiplier of at least {LEAST_SAMPLED_LAPLACE}; "
                "take more noise (a smaller ε), or all records"
            )
        return pld.from_laplace_mechanism(
            self.noise_multiplier, sampling_prob=self.sampling_rate, value_discretization_interval=grid
        )

    def largest_loss(self) -> float:
        """See `Event`; times √count, because typical losses are as large, and a composition spreads by so much."""
        return math.sqrt(self.count) * _of_a_sample(1 / self.noise_multiplier, self.sampling_rate)

    def renyi(self, orders: Sequence[float]) -> np.ndarray:
        """See `Event`; over all records, because dp-accounting has no bound for a sample."""
        from dp_accounting import LaplaceDpEvent

        return _divergences(LaplaceDpEvent(self.noise_multiplier), orders)


@dataclass(frozen=True)
class PureEvent(Event):
    """Any mechanism that is ε₀-DP with ε₀ = 1 / `noise_multiplier`, accounted for as the worst of them.

    The worst is randomised response, which gives the true bit with probability exp(ε₀) / (1 + exp(ε₀)) (Kairouz, Oh and
    Viswanath, 1311.0776).
    """

    def losses(self, grid: float) -> PrivacyLossDistribution:
        """See `Event`; exact at multiples of `grid`."""
        from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

        pure, rate = 1 / self.noise_multiplier, self.sampling_rate
        true = -math.log1p(math.exp(-pure))  # ln probability of the true bit; of the other one: true - pure
        with_it = [_of_a_sample(pure, rate), _of_a_sample(-pure, rate)]  # losses if the record is present
        absent = [math.exp(true - pure), math.exp(true)]
        present = [math.exp(true - pure + with_it[0]), math.exp(true + with_it[1])]
        removed = _connected(with_it, present, grid)
        return PrivacyLossDistribution(removed, _connected([-loss for loss in with_it], absent, grid))

    def largest_loss(self) -> float:
        """See `Event`; times √count, because typical losses are as large, and a composition spreads by so much."""
        return math.sqrt(self.count) * _of_a_sample(1 / self.noise_multiplier, self.sampling_rate)

    def renyi(self, orders: Sequence[float]) -> np.ndarray:
        """See `Event`: ε₀-DP implies ε₀²/2-zCDP (Bun and Steinke, 1605.02065); over all records, as for Laplace."""
        from dp_accounting import ZCDpEvent

        return _divergences(ZCDpEvent(0.5 / self.noise_multiplier**2), orders)


def _divergences(event: DpEvent, orders: Sequence[float]) -> np.ndarray:
    """The Rényi divergences of an event that dp-accounting knows."""
    from dp_accounting.rdp import RdpAccountant

    logging.getLogger("absl").setLevel(logging.ERROR)  # it warns of every order whose series does not converge
    accountant = RdpAccountant(orders)
    accountant.compose(event)
    return accountant.rdp


def _connected(losses: list[float], probabilities: list[float], grid: float) -> PLDPmf:
    """A few privacy losses, put on a grid such that δ(ε) is the same at its points and not smaller between them."""
    import numpy as np
    from dp_accounting.pld.pld_pmf import create_pmf_pessimistic_connect_dots

    points = sorted({rounded(loss / grid) for loss in losses for rounded in (math.floor, math.ceil)})
    deltas = [
        sum(p * -math.expm1(min(0.0, k * grid - loss)) for loss, p in zip(losses, probabilities, strict=True))
        for k in points
    ]
    with np.errstate(over="ignore"):  # of a large gap between losses: the inverse is 0, as it should be
        return create_pmf_pessimistic_connect_dots(grid, points, np.clip(deltas, 0, 1))


def _of_a_sample(loss: float, rate: float) -> float:
    """The privacy loss of an output over a Poisson sample, given its loss over all records."""
    if rate == 1:
        return loss
    return loss + math.log(rate) if loss > 600 else math.log1p(rate * math.expm1(loss))
