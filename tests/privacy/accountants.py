"""Accountants that share no code with dpbench's: dp-accounting's own events, opacus' PRV, and simulated privacy losses.

All for compositions of Gaussian releases over Poisson samples at rate q. With noise of deviation σ, one release draws
from Q = N(0, σ²) without a record and from P = (1-q) N(0, σ²) + q N(1, σ²) with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from dp_accounting import DpEvent, GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from opacus.accountants import PRVAccountant
from scipy.optimize import brentq

from dpbench.privacy.accounting import GaussianEvent

Direction = Literal["remove", "add"]


def epsilon_by_dp_accounting(events: Sequence[GaussianEvent], delta: float, grid: float) -> float:
    """ε by dp-accounting's accountant, each event composed as it stands: an upper bound."""
    accountant = PLDAccountant(value_discretization_interval=grid)
    for e in events:
        release: DpEvent = GaussianDpEvent(e.noise_multiplier)
        accountant.compose(PoissonSampledDpEvent(e.sampling_rate, release) if e.sampling_rate < 1 else release, e.count)
    return float(accountant.get_epsilon(delta))


def epsilon_by_prv(events: Sequence[GaussianEvent], delta: float, error: float) -> tuple[float, float]:
    """Bounds on ε by opacus' privacy random variables (Gopi et al. 2021), in the direction P against Q alone.

    Args:
        error: of ε that the accountant is allowed.
    """
    accountant = PRVAccountant()
    accountant.history = [(e.noise_multiplier, e.sampling_rate, e.count) for e in events]
    delta_error = delta / 1000
    losses = accountant._get_dprv(eps_error=error, delta_error=delta_error)
    lower, _, upper = losses.compute_epsilon(delta, delta_error, error)
    return float(lower), float(upper)


@dataclass(frozen=True)
class Estimate:
    """A mean of independent samples and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class Tilted:
    """The loss ℓ = ln dP/dQ of one release, under the density in proportion to Q · exp(λℓ), tabulated.

    Q is λ = 0 and P is λ = 1.

    Attributes:
        losses: ℓ at the nodes [n].
        cumulative: probability below each node [n].
        log_mass: ln E_Q[exp(λℓ)].
        mean: of ℓ.
    """

    losses: np.ndarray
    cumulative: np.ndarray
    log_mass: float
    mean: float

    @classmethod
    def at(cls, event: GaussianEvent, tilt: float, nodes: int = 20_001) -> Tilted:
        """Tabulates; the trapezoid rule is exact here but for rounding."""
        sigma, rate = event.noise_multiplier, event.sampling_rate
        ends = sorted([0.0, tilt, 1.0])  # without sampling the mean is at λ, with sampling between 0 and λ
        x = np.linspace(ends[0] - 12 * sigma, ends[-1] + 12 * sigma, nodes)
        with_it = math.log(rate) + (2 * x - 1) / (2 * sigma**2)
        losses = np.logaddexp(math.log1p(-rate), with_it) if rate < 1 else with_it
        log_density = tilt * losses - x**2 / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))
        highest = log_density.max()
        density = np.exp(log_density - highest)
        cells = np.diff(x) * (density[1:] + density[:-1]) / 2
        cumulative = np.concatenate([[0.0], np.cumsum(cells)])
        mass = cumulative[-1]
        mean = float(np.trapezoid(losses * density, x)) / mass
        return cls(losses, cumulative / mass, float(np.log(mass)) + highest, mean)

    def sum_of(self, count: int, samples: int, random: np.random.Generator) -> np.ndarray:
        """Sums of `count` independent losses [samples]."""
        total = np.zeros(samples)
        for _ in range(count):
            total += np.interp(random.random(samples), self.cumulative, self.losses)
        return total


def delta_by_simulation(
    events: Sequence[GaussianEvent], epsilon: float, direction: Direction, samples: int, seed: int = 0
) -> Estimate:
    """δ(ε) = E[(1 - exp(ε - L))₊] over the privacy loss L of the whole composition, by importance sampling.

    With S the sum of all ℓ, L is S under P in the direction "remove" and -S under Q in the direction "add". Sums are
    drawn under the tilt λ that makes ε their mean loss, and weighted by the density of P or Q relative to it.
    """
    sign, target = (1, 1) if direction == "remove" else (-1, 0)

    def excess(tilt: float) -> float:
        return sign * sum(e.count * Tilted.at(e, tilt, 2001).mean for e in events) - epsilon

    step = 1.0
    while excess(target + sign * step) < 0 and step < 1e6:
        step *= 2
    tilt = brentq(lambda t: excess(t), target, target + sign * step, xtol=1e-3)
    random = np.random.default_rng(seed)
    sums, log_mass = np.zeros(samples), 0.0
    for e in events:
        tilted = Tilted.at(e, tilt)
        sums += tilted.sum_of(e.count, samples, random)
        log_mass += e.count * tilted.log_mass
    weights = np.exp(log_mass - (tilt - target) * sums)
    terms = weights * -np.expm1(np.minimum(0, epsilon - sign * sums))
    return Estimate(float(terms.mean()), float(terms.std(ddof=1)) / math.sqrt(samples))
