"""The cost of a composition of Gaussian mechanisms: ε at a δ, by privacy loss distributions and Rényi divergence.

The arithmetic is dp-accounting's, for add/remove neighbours, which cost the same as a record replaced by nothing (rule
R3). Releases over all records are merged exactly into one Gaussian, since 1/σ² adds up; subsampled ones are composed
numerically on a grid that is refined until ε changes by less than 1%. The numerical ε is an upper bound ("connect the
dots").
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from dpbench.core.errors import PrivacyError

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution


@dataclass(frozen=True)
class GaussianEvent:
    """`count` Gaussian releases with one noise multiplier, each over a Poisson sample at `sampling_rate` (1: all)."""

    noise_multiplier: float
    sampling_rate: float
    count: int


COARSEST_GRID = 1e-3
FINEST_GRID = 1e-6

SECOND_DELTA = 1e-5
"""A second δ at which ε is stated beside the requested one, so that results at different δ can be compared."""


def epsilon_pld(events: Sequence[GaussianEvent], delta: float, grid: float | None = None) -> float:
    """ε of the composition at `delta` by PLD; 0 for no events, ∞ where one of them has no noise.

    Args:
        events: the composition.
        delta: in (0, 1).
        grid: step of the privacy losses; by default refined until ε converges. A coarse one is faster, and gives an
            upper bound.
    """
    if not events:
        return 0.0
    if any(e.noise_multiplier == 0 for e in events):
        return math.inf
    return settle_grid(events, delta)[1] if grid is None else epsilon_on_grid(events, delta, grid)


def settle_grid(events: Sequence[GaussianEvent], delta: float) -> tuple[float, float]:
    """(grid, ε): the first grid of privacy losses on which ε has converged, and ε on it.

    Raises:
        PrivacyError: no grid is fine enough.
    """
    grid = COARSEST_GRID
    epsilon = epsilon_on_grid(events, delta, grid)
    while grid > FINEST_GRID:
        finest = 3 * FINEST_GRID if grid > 3 * FINEST_GRID else FINEST_GRID  # so that even the last step is compared
        grid = max(finest, min(grid / 3, 3e-4 * epsilon))
        coarser, epsilon = epsilon, epsilon_on_grid(events, delta, grid)
        if math.isclose(coarser, epsilon, rel_tol=2e-3):
            return grid, epsilon
    raise PrivacyError(
        f"ε of this plan does not converge on a grid of {FINEST_GRID:g}, because it is almost zero; use less noise"
    )


def epsilon_on_grid(events: Sequence[GaussianEvent], delta: float, grid: float) -> float:
    """An upper bound on ε of noisy events, with privacy losses rounded to multiples of `grid`."""
    return float(compose(tuple(events), grid).get_epsilon_for_delta(delta))


@lru_cache(maxsize=4)
def compose(events: tuple[GaussianEvent, ...], grid: float) -> PrivacyLossDistribution:
    """The privacy losses of at least one noisy event, rounded to multiples of `grid` such that no δ(ε) decreases."""
    losses = [
        _single_release(e.noise_multiplier, e.sampling_rate, grid).self_compose(e.count)
        for e in events
        if e.sampling_rate < 1
    ]
    if precision := sum(e.count / e.noise_multiplier**2 for e in events if e.sampling_rate == 1):
        losses.append(_single_release(precision**-0.5, 1.0, grid))
    total, *others = losses
    for other in others:
        total = total.compose(other)
    return total


@lru_cache(maxsize=4)
def _single_release(noise_multiplier: float, sampling_rate: float, grid: float) -> PrivacyLossDistribution:
    """The privacy losses of one release; most of the time of a composition goes here."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    return pld.from_gaussian_mechanism(
        noise_multiplier, sampling_prob=sampling_rate, value_discretization_interval=grid
    )


def epsilon_rdp(events: Sequence[GaussianEvent], delta: float) -> float:
    """ε of the composition at `delta` by Rényi differential privacy: a bound, usually above the PLD one."""
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    if any(e.noise_multiplier == 0 for e in events):
        return math.inf
    logging.getLogger("absl").setLevel(logging.ERROR)  # it warns of every order whose series does not converge
    accountant = RdpAccountant()
    for e in events:
        release: dp_accounting.DpEvent = dp_accounting.GaussianDpEvent(e.noise_multiplier)
        if e.sampling_rate < 1:
            release = dp_accounting.PoissonSampledDpEvent(e.sampling_rate, release)
        accountant.compose(release, e.count)
    return float(accountant.get_epsilon(delta)) if events else 0.0
