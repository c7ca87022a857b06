"""The cost of a composition: ε at a δ, by privacy loss distributions (PLD) and Rényi divergence.

All costs are for add/remove neighbours; replacing a record by nothing costs the same (rule R3). Gaussian releases over
all records together are one Gaussian mechanism, since 1/σ² adds up, and its ε is exact (`gaussian_profile`). Anything
else is composed numerically by dp-accounting, on a grid that is refined until ε settles. The numerical ε is an upper
bound ("connect the dots").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from dpbench.core.errors import PrivacyError
from dpbench.privacy.accounting.events import Event, GaussianEvent
from dpbench.privacy.accounting.gaussian_profile import gaussian_epsilon

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

COARSEST_GRID = 1.0

SETTLED, TOLERATED = 2e-3, 1e-2
"""Largest change of ε by a three times finer grid at which ε counts as settled, and is accepted on the finest grid."""

MOST_LOSSES = 1_000_000
"""Number of privacy losses of single releases up to which a grid is refined: takes seconds, and less than 1 GB."""

FEW_LOSSES = 20_000
"""Their number on a rough grid: takes milliseconds."""

ROUNDING = 2.0**-52
"""Bound on the rounding error of a numerical δ(ε), per release.

Several times the error of compositions of known cost.
"""

TRUNCATION = 1e-15
"""Probability that dp-accounting adds to the probability of an infinite loss, per event."""

SECOND_DELTA = 1e-5
"""A second δ at which ε is stated besides the requested one, so that results at different δ can be compared."""


def epsilon_pld(events: Sequence[Event], delta: float, near: float | None = None) -> float:
    """ε of the composition at `delta` by PLD; 0 for no events, ∞ where one of them has no noise.

    Args:
        events: the composition.
        delta: in (0, 1).
        near: an approximate ε, for a quick upper bound on a rough grid; by default the grid is refined until ε settles.

    Raises:
        PrivacyError: see `settle_grid`.
    """
    if not events:
        return 0.0
    if any(e.noise_multiplier == 0 for e in events):
        return math.inf
    return settle_grid(events, delta)[1] if near is None else epsilon_on_grid(events, delta, rough_grid(events, near))


def settle_grid(events: Sequence[Event], delta: float, start: float = COARSEST_GRID) -> tuple[float, float]:
    """(grid, ε): the first grid of privacy losses on which ε has settled, and ε on it.

    Args:
        events: noisy ones, at least one.
        delta: in (0, 1).
        start: the first grid that is tried; a good one is about a thousandth of ε.

    Raises:
        PrivacyError: δ is too small for a numerical composition, or no grid is fine enough.
    """
    if mu_of_gaussians(events):
        return start, epsilon_on_grid(events, delta, start)
    finest = _finest_grid(events, MOST_LOSSES)
    if finest > COARSEST_GRID:
        raise PrivacyError("a release with next to no noise costs more than ε = 1,000,000; take more noise")
    grid, change = max(start, 3 * finest), math.inf
    epsilon = epsilon_on_grid(events, delta, grid)
    while epsilon > 0 and change > SETTLED and grid > finest:
        last = finest if grid <= 3 * finest else 3 * finest  # so that even the finest one is compared
        grid = max(last, min(grid / 3, 3e-4 * epsilon))
        coarser, epsilon = epsilon, epsilon_on_grid(events, delta, grid)
        change = 1 - epsilon / coarser
    if epsilon > 0 and change > TOLERATED:
        raise PrivacyError(
            f"ε is almost zero (at most {epsilon:.2g}), while rare outputs reveal much: the accountant cannot resolve "
            "both; choose a larger ε or δ, or a noise multiplier above 1"
        )
    return grid, epsilon


def rough_grid(events: Sequence[Event], epsilon: float) -> float:
    """A grid on which noisy events are composed in milliseconds, for an ε of about `epsilon`."""
    return max(min(COARSEST_GRID, 1e-3 * epsilon), _finest_grid(events, FEW_LOSSES))


def _finest_grid(events: Sequence[Event], losses: int) -> float:
    """The grid on which single releases have `losses` privacy losses."""
    return sum(e.largest_loss() for e in events) / losses


def epsilon_on_grid(events: Sequence[Event], delta: float, grid: float) -> float:
    """An upper bound on ε of noisy events: exact for Gaussians over all records, whatever the grid.

    Args:
        events: noisy ones, at least one.
        delta: in (0, 1).
        grid: privacy losses are rounded to multiples of it.

    Raises:
        PrivacyError: δ is so small that rounding errors of a numerical composition could hide it.
    """
    if mu := mu_of_gaussians(events):
        return gaussian_epsilon(mu, delta)
    releases = sum(e.count for e in events)
    resolved = 10 * (TRUNCATION * len(events) + ROUNDING * releases)
    if delta < resolved:
        raise PrivacyError(
            f"δ = {delta:.2g} is below what a numerical composition of {releases:,} releases resolves; "
            f"use δ of at least {resolved:.1e}, or Gaussian releases over all records"
        )
    return float(compose(tuple(events), grid).get_epsilon_for_delta(delta - ROUNDING * releases))


def mu_of_gaussians(events: Sequence[Event]) -> float | None:
    """μ = √(Σ count / noise²) of events that together are one Gaussian mechanism; None for other events."""
    if all(isinstance(e, GaussianEvent) and e.sampling_rate == 1 for e in events):
        return math.sqrt(sum(e.count / e.noise_multiplier**2 for e in events))
    return None


@lru_cache(maxsize=4)
def compose(events: tuple[Event, ...], grid: float) -> PrivacyLossDistribution:
    """The privacy losses of at least one noisy event, rounded to multiples of `grid` such that no δ(ε) decreases."""
    gaussians = [e for e in events if mu_of_gaussians([e])]
    losses = [
        _single_release(replace(e, count=1), grid).self_compose(e.count) for e in events if not mu_of_gaussians([e])
    ]
    if mu := mu_of_gaussians(gaussians):
        losses.append(_single_release(GaussianEvent(1 / mu, 1.0, 1), grid))
    total, *others = losses
    for other in others:
        total = total.compose(other)
    return total


@lru_cache(maxsize=4)
def _single_release(event: Event, grid: float) -> PrivacyLossDistribution:
    """The privacy losses of one release; a composition spends most of its time here.

    They are held in arrays, because dp-accounting is slow at composing a few losses in a dictionary a million times.
    """
    losses = event.losses(grid)
    pmfs = [losses._pmf_remove] if losses._symmetric else [losses._pmf_remove, losses._pmf_add]
    return type(losses)(*(pmf.to_dense_pmf() for pmf in pmfs))


def epsilon_rdp(events: Sequence[Event], delta: float) -> float:
    """ε of the composition at `delta` by Rényi differential privacy: a bound, usually above the PLD one."""
    if any(e.noise_multiplier == 0 for e in events):
        return math.inf
    return epsilon_and_order(events, delta)[0] if events else 0.0


def epsilon_and_order(events: Sequence[Event], delta: float) -> tuple[float, float]:
    """(ε, the order that gives it) by Rényi differential privacy, of at least one noisy event."""
    from dp_accounting.rdp import RdpAccountant, compute_epsilon

    orders = RdpAccountant().orders.tolist()
    epsilon, order = compute_epsilon(orders, sum(e.count * e.renyi(orders) for e in events), delta)
    return float(epsilon), float(order)
