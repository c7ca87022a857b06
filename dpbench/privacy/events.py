"""What is billed: releases of one kind with one noise multiplier and one sampling rate.

An event is described by a pair of distributions that are at least as easy to tell apart as the outputs on any two
neighbouring datasets. Poisson sampling keeps that property (Zhu, Dong and Wang, 2106.08567, theorem 11).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dp_accounting import DpEvent
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution


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
        """About the largest privacy loss of one release that `losses` lists."""

    @abstractmethod
    def renyi(self) -> DpEvent:
        """One release as dp-accounting's Rényi accountant knows it, or one that costs more."""


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
        """See `Event`; of an output ten standard deviations away, beyond which dp-accounting truncates."""
        unsampled = 10 / self.noise_multiplier + 1 / (2 * self.noise_multiplier**2)
        return _of_a_sample(unsampled, self.sampling_rate)

    def renyi(self) -> DpEvent:
        """See `Event`; exact."""
        from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent

        release: DpEvent = GaussianDpEvent(self.noise_multiplier)
        return PoissonSampledDpEvent(self.sampling_rate, release) if self.sampling_rate < 1 else release


def _of_a_sample(loss: float, rate: float) -> float:
    """The privacy loss of an output over a Poisson sample, where it has the given loss over all records."""
    return loss + math.log(rate) if loss > 600 else math.log1p(rate * math.expm1(loss))
