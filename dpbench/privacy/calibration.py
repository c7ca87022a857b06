"""Calibrates a plan's noise to a budget: the composition costs at most ε and at least 99.5% of it (rule R2)."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache, partial

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Budget
from dpbench.privacy.accounting import (
    COARSEST_GRID,
    SECOND_DELTA,
    epsilon_on_grid,
    epsilon_pld,
    epsilon_rdp,
    settle_grid,
)
from dpbench.privacy.gdp import gdp
from dpbench.privacy.mechanisms import NoisySum
from dpbench.privacy.plan import CalibratedPlan, Plan

TIGHTNESS = 0.995
"""Least share of ε that a calibrated plan spends."""

AIM = 0.999
"""Share of ε at which calibration aims."""

UNUSUAL_DELTA = 1e-5

MOST_STEPS = 1_000_000
"""Largest number of releases that `most_releases` tries."""


@lru_cache(maxsize=256)
def calibrate(plan: Plan, budget: Budget) -> CalibratedPlan:
    """Chooses the scale of the free noise multipliers.

    ε = ∞ removes all noise; ε = 0 gives the empty plan, which refuses every query.

    Raises:
        PrivacyError: the mechanisms with fixed noise alone exceed ε.
    """
    if budget.delta > UNUSUAL_DELTA:
        warnings.warn(f"δ = {budget.delta:.2g} is above {UNUSUAL_DELTA:g}: a weak guarantee", stacklevel=2)
    if budget.epsilon == 0:
        return _at_one_price(Plan(), budget, 0.0)
    if math.isinf(budget.epsilon):
        return _at_one_price(plan.without_noise(), budget, math.inf)
    fixed = epsilon_pld(plan.fixed.events(), budget.delta)
    if fixed > budget.epsilon:
        raise PrivacyError(f"the mechanisms with fixed noise alone cost ε = {fixed:.4g}, above {budget.epsilon:g}")
    if not plan.is_calibrated:
        plan = plan.with_scale(_smallest_scale(plan, budget))
    return _billed(plan, budget)


def priced(plan: Plan, delta: float) -> CalibratedPlan:
    """A plan whose noise is set already, with its cost.

    Raises:
        PrivacyError: a noise multiplier is not set.
    """
    return _billed(plan, Budget(epsilon_pld(plan.events(), delta), delta))


def _billed(plan: Plan, budget: Budget) -> CalibratedPlan:
    """A plan with its cost: every number comes from one composition, on the grid on which ε has converged."""
    events, delta = plan.events(), budget.delta
    if not events or any(e.noise_multiplier == 0 for e in events):
        return _at_one_price(plan, budget, epsilon_pld(events, delta))
    grid, epsilon = settle_grid(events, delta)
    mu, at_second = gdp(events, grid), epsilon_on_grid(events, SECOND_DELTA, grid)
    return CalibratedPlan(plan.mechanisms, budget, epsilon, epsilon_rdp(events, delta), mu, at_second)


def _at_one_price(plan: Plan, budget: Budget, cost: float) -> CalibratedPlan:
    """A plan whose cost is 0 or ∞ by every measure."""
    return CalibratedPlan(plan.mechanisms, budget, cost, cost, cost, cost)


def _smallest_scale(plan: Plan, budget: Budget) -> float:
    """The noise scale at which the composition costs just under ε: found on a rough grid, then on a fine one."""
    log_scale = math.log(rough_scale(plan, budget))
    for _ in range(5):  # a grid that is fine enough at one scale usually is nearby, too; the next round confirms it
        grid, epsilon = settle_grid(plan.with_scale(math.exp(log_scale)).events(), budget.delta)
        if (2 * AIM - 1) * budget.epsilon <= epsilon <= budget.epsilon:
            return math.exp(log_scale)
        log_scale = _root(partial(_log_overspend, plan, budget, grid), (log_scale - 0.1, log_scale + 0.1))
    raise PrivacyError(
        f"no noise scale makes this plan cost between {TIGHTNESS:.1%} and 100% of ε = {budget.epsilon:g}"
    )


@lru_cache(maxsize=1024)
def rough_scale(plan: Plan, budget: Budget) -> float:
    """The noise scale at which the composition costs ε on the coarsest grid: for comparing plans, not for training.

    Raises:
        PrivacyError: no scale makes the plan cost a finite, positive ε.
    """
    return math.exp(_root(partial(_log_overspend, plan, budget, COARSEST_GRID), _bracket(plan, budget)))


def _log_overspend(plan: Plan, budget: Budget, grid: float, log_scale: float) -> float:
    events = plan.with_scale(math.exp(log_scale)).events()
    return math.log(max(epsilon_on_grid(events, budget.delta, grid), 1e-9) / (AIM * budget.epsilon))


def _bracket(plan: Plan, budget: Budget) -> tuple[float, float]:
    """Logarithms of a scale that costs too much and of one that does not, which differ by a factor of two."""

    def cost(scale: float) -> float:
        return epsilon_on_grid(plan.with_scale(scale).events(), budget.delta, COARSEST_GRID)

    scale = 1.0
    while cost(scale) > budget.epsilon:
        scale *= 2
        if scale > 1e7:
            raise PrivacyError(f"ε = {budget.epsilon:g} is out of reach of this plan, whatever the noise")
    while cost(scale / 2) <= budget.epsilon:
        scale /= 2
        if scale < 1e-2:
            raise PrivacyError(f"ε = {budget.epsilon:g} needs next to no noise; ε = inf is the non-private reference")
    return math.log(scale / 2), math.log(scale)


def _root(overspend: Callable[[float], float], bracket: tuple[float, float]) -> float:
    from scipy.optimize import brentq

    low, high = bracket
    while overspend(low) < 0:
        low -= 1
    while overspend(high) > 0:
        high += 1
    return float(brentq(overspend, low, high, xtol=1e-4, rtol=1e-4))


def most_releases(mechanism: NoisySum, budget: Budget) -> int:
    """The largest number of releases of a mechanism, whatever its `count`, that cost at most ε.

    Raises:
        PrivacyError: a single one costs more than ε, or more than `MOST_STEPS` cost less.
    """

    def overspends(count: int, grid: float) -> bool:
        return epsilon_on_grid([mechanism.event(count)], budget.delta, grid) > budget.epsilon

    def last_within(low: int, high: int, grid: float) -> int:
        """The largest count within ε, from `low`, which is, to below `high`, which is not."""
        return bisect_left(range(low + 1, high), True, key=lambda count: overspends(count, grid)) + low

    grid, epsilon = settle_grid([mechanism.event(1)], budget.delta)
    if epsilon > budget.epsilon:
        raise PrivacyError(
            f"one release costs ε = {epsilon:.4g} already, above {budget.epsilon:g}; take more noise or a lower rate"
        )
    high = 2
    while not overspends(high, COARSEST_GRID):
        high *= 2
        if high > MOST_STEPS:
            raise PrivacyError(
                f"more than {MOST_STEPS:,} releases cost less than ε = {budget.epsilon:g}; take less noise"
            )
    rough = last_within(1, high, COARSEST_GRID)
    grid, _ = settle_grid([mechanism.event(rough)], budget.delta)
    high = rough + 1
    while not overspends(high, grid):  # the coarse grid overstates ε a little
        high += max(1, high // 10)
    return last_within(rough, high, grid)
