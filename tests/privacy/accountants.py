"""Accountants that share no code with dpbench's: dp-accounting's own events, opacus' PRV, and simulated privacy losses.

All for compositions of Gaussian releases over Poisson samples at rate q. With noise of deviation σ, one release draws
from Q = N(0, σ²) without a record and from P = (1-q) N(0, σ²) + q N(1, σ²) with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from dp_accounting import DpEvent, GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from opacus.accountants import PRVAccountant
from scipy.optimize import brentq

from dpbench.privacy.accounting.events import GaussianEvent

Direction = Literal["remove", "add"]


def epsilon_by_dp_accounting(events: Iterable[GaussianEvent], delta: float, grid: float) -> float:
    """ε by dp-accounting's accountant, every event composed as it stands: an upper bound."""
    accountant = PLDAccountant(value_discretization_interval=grid)
    for e in events:
        release: DpEvent = GaussianDpEvent(e.noise_multiplier)
        accountant.compose(PoissonSampledDpEvent(e.sampling_rate, release) if e.sampling_rate < 1 else release, e.count)
    return float(accountant.get_epsilon(delta))


def epsilon_by_prv(events: Iterable[GaussianEvent], delta: float, error: float) -> tuple[float, float]:
    """Lower and upper bound on ε by opacus' privacy random variables (Gopi et al. 2021).

    In the direction "remove" alone: opacus has no variable for the other one.

    Args:
        error: that ε may have; the bounds lie twice as far apart.
    """
    accountant = PRVAccountant()
    accountant.history = [(e.noise_multiplier, e.sampling_rate, e.count) for e in events]
    delta_error = delta / 1000
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # log(1 - q) at q = 1
        losses = accountant._get_dprv(eps_error=error, delta_error=delta_error)
        lower, _, upper = losses.compute_epsilon(delta, delta_error, error)
    return float(lower), float(upper)


@dataclass(frozen=True)
class Tilted:
    """The loss ℓ = ln dP/dQ of one release where the release has a density in proportion to Q · exp(λℓ), tabulated.

    Without the record λ is 0, with it 1.

    Attributes:
        losses: ℓ at the nodes [n].
        cumulative: probability up to each node [n].
        log_mass: ln E_Q[exp(λℓ)].
        mean: of ℓ.
    """

    losses: np.ndarray
    cumulative: np.ndarray
    log_mass: float
    mean: float

    @classmethod
    def at(cls, event: GaussianEvent, tilt: float, nodes_per_sigma: int) -> Tilted:
        """By the trapezoid rule, whose error for densities as smooth as these is far below that of the simulation."""
        sigma, rate = event.noise_multiplier, event.sampling_rate
        low, high = min(0, tilt) - 12 * sigma, max(0, tilt) + 12 * sigma  # the components stand from 0 to λ
        x = np.linspace(low, high, math.ceil((high - low) / sigma * nodes_per_sigma))
        with_it = math.log(rate) + (2 * x - 1) / (2 * sigma**2)
        losses = np.logaddexp(math.log1p(-rate), with_it) if rate < 1 else with_it
        log_density = tilt * losses - x**2 / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))
        highest = log_density.max()
        density = np.exp(log_density - highest)
        cumulative = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)]) * (x[1] - x[0])
        mean = float(np.dot(losses, density) * (x[1] - x[0]) / cumulative[-1])
        return cls(losses, cumulative / cumulative[-1], float(np.log(cumulative[-1])) + highest, mean)

    def sums(self, count: int, samples: int, random: np.random.Generator) -> np.ndarray:
        """Independent sums of `count` losses each [samples]."""
        total = np.zeros(samples)
        for _ in range(count):
            draws = np.interp(np.sort(random.random(samples)), self.cumulative, self.losses)  # sorted: twice as fast
            random.shuffle(draws)
            total += draws
        return total


@dataclass(frozen=True)
class Estimate:
    """A mean over independent samples, and its standard error."""

    value: float
    error: float

    @property
    def lower(self) -> float:
        """Four standard errors below."""
        return self.value - 4 * self.error

    @property
    def upper(self) -> float:
        """Four standard errors above."""
        return self.value + 4 * self.error


LARGEST_TILT = 4096


def delta_by_simulation(
    events: Sequence[GaussianEvent], epsilons: Sequence[float], direction: Direction, draws: float
) -> list[Estimate]:
    """δ(ε) = E[(1 - exp(ε - L))₊] of the privacy loss L of the whole composition, at each ε, by importance sampling.

    With S the sum of all ℓ, L is S under P in the direction "remove" and -S under Q in the direction "add". S is drawn
    under the tilt λ that makes the first ε the mean loss, and weighted by the density of P or Q relative to that. Where
    no λ up to `LARGEST_TILT` does, such losses hardly exist, and δ is Chernoff's bound, without an error.

    Args:
        draws: of ℓ, over all releases and samples; at least 2,000 samples, for an error of a few percent, are taken.
    """
    sign, target = (1, 1) if direction == "remove" else (-1, 0)

    def short_of(tilt: float) -> float:
        """By how much the mean loss under a tilt is above ε."""
        return sign * sum(e.count * Tilted.at(e, tilt, 20).mean for e in events) - epsilons[0]

    furthest = target + sign
    while short_of(furthest) < 0 and abs(furthest) < LARGEST_TILT:
        furthest *= 2
    if short_of(furthest) < 0:
        log_mass = sum(e.count * Tilted.at(e, furthest, 20).log_mass for e in events)
        return [Estimate(math.exp(log_mass - sign * (furthest - target) * epsilon), 0.0) for epsilon in epsilons]
    tilt = float(brentq(short_of, target, furthest, xtol=1e-3))
    random = np.random.default_rng(0)
    samples = int(np.clip(draws / sum(e.count for e in events), 2_000, 200_000))
    sums, log_mass = np.zeros(samples), 0.0
    for e in events:
        one = Tilted.at(e, tilt, 500)
        sums += one.sums(e.count, samples, random)
        log_mass += e.count * one.log_mass
    weights = np.exp(log_mass - (tilt - target) * sums)
    terms = [weights * -np.expm1(np.minimum(0, epsilon - sign * sums)) for epsilon in epsilons]
    return [Estimate(float(t.mean()), float(t.std(ddof=1)) / math.sqrt(samples)) for t in terms]
