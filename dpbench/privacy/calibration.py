"""Calibrates a plan's noise to a budget: the composition costs at most ε and at least 99.5% of it (rule R2)."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Budget
from dpbench.privacy.accounting.composition import (
    SECOND_DELTA,
    epsilon_on_grid,
    epsilon_pld,
    epsilon_rdp,
    rough_grid,
    settle_grid,
)
from dpbench.privacy.accounting.events import Event
from dpbench.privacy.accounting.gdp import gdp
from dpbench.privacy.mechanisms.mechanism import Query
from dpbench.privacy.plan import CalibratedPlan, Plan

TIGHTNESS = 0.995
"""Least share of ε that a calibrated plan spends."""

AIM = 0.999
"""Share of ε at which calibration aims."""

LN2 = math.log(2)

LEAST_NOISE, MOST_NOISE = math.log(1e-6), math.log(1e9)
"""Logarithms of the noise scales between which calibration searches."""

MOST_STEPS = 1_000_000
"""Largest number of releases that `most_releases` tries."""


@lru_cache(maxsize=256)
def calibrate(plan: Plan, budget: Budget) -> CalibratedPlan:
    """Chooses the scale of the free noise multipliers.

    ε = ∞ removes all noise; ε = 0 gives the empty plan, which refuses every query.

    Raises:
        PrivacyError: the mechanisms with fixed noise alone exceed ε.
    """
    if budget.epsilon == 0:
        return _at_one_price(Plan(), budget, 0.0)
    if math.isinf(budget.epsilon):
        return _at_one_price(plan.without_noise(), budget, math.inf)
    fixed = epsilon_pld(plan.fixed.events(), budget.delta)
    if fixed > budget.epsilon:
        raise PrivacyError(f"the mechanisms with fixed noise alone cost ε = {fixed:.4g}, above {budget.epsilon:g}")
    if not plan.is_calibrated:
        plan = plan.with_scale(_smallest_scale(plan, budget))
    return _with_cost(plan, budget)


def priced(plan: Plan, delta: float) -> CalibratedPlan:
    """A plan whose noise is set already, with its cost.

    Raises:
        PrivacyError: a noise multiplier is not set.
    """
    return _with_cost(plan, Budget(epsilon_pld(plan.events(), delta), delta))


def _with_cost(plan: Plan, budget: Budget) -> CalibratedPlan:
    """A plan with its cost: every number comes from one composition, on the grid on which ε has settled."""
    events, delta = plan.events(), budget.delta
    if not events or any(e.noise_multiplier == 0 for e in events):
        return _at_one_price(plan, budget, epsilon_pld(events, delta))
    grid, epsilon = settle_grid(events, delta, rough_grid(events, budget.epsilon))
    mu, at_second = gdp(events, grid), epsilon_on_grid(events, SECOND_DELTA, grid)
    return CalibratedPlan(plan.mechanisms, budget, epsilon, epsilon_rdp(events, delta), mu, at_second)


def _at_one_price(plan: Plan, budget: Budget, cost: float) -> CalibratedPlan:
    """A plan whose cost is 0 or ∞ by every measure."""
    return CalibratedPlan(plan.mechanisms, budget, cost, cost, cost, cost)


def _smallest_scale(plan: Plan, budget: Budget) -> float:
    """The noise scale at which the composition costs just under ε: found on a rough grid, then on a fine one."""
    log_scale = math.log(rough_scale(plan, budget))
    for _ in range(5):  # a grid fine enough at one scale usually is at nearby ones as well; the next round confirms it
        events = _events_at(plan, log_scale)
        grid, epsilon = settle_grid(events, budget.delta, rough_grid(events, budget.epsilon))
        if (2 * AIM - 1) * budget.epsilon <= epsilon <= budget.epsilon:
            return math.exp(log_scale)
        log_scale = _root(partial(_log_overspend, plan, budget, grid), (log_scale - 0.1, log_scale + 0.1))
    raise PrivacyError(
        f"no noise scale makes this plan cost between {TIGHTNESS:.1%} and 100% of ε = {budget.epsilon:g}"
    )


@lru_cache(maxsize=1024)
def rough_scale(plan: Plan, budget: Budget) -> float:
    """The noise scale at which the composition costs ε on a rough grid: for comparing plans, not for training.

    Raises:
        PrivacyError: no scale makes the plan cost a finite, positive ε.
    """
    return math.exp(_root(partial(_log_overspend, plan, budget, None), _bracket(plan, budget)))


def _events_at(plan: Plan, log_scale: float) -> list[Event]:
    return plan.with_scale(math.exp(log_scale)).events()


def _log_overspend(plan: Plan, budget: Budget, grid: float | None, log_scale: float) -> float:
    """ln(ε / the targeted ε), on the given grid or on a rough one."""
    events = _events_at(plan, log_scale)
    epsilon = epsilon_on_grid(events, budget.delta, grid or rough_grid(events, budget.epsilon))
    return math.log(max(epsilon, 1e-9) / (AIM * budget.epsilon))


def _bracket(plan: Plan, budget: Budget) -> tuple[float, float]:
    """Logarithms of two scales that differ by a factor of two: the first costs too much, the second does not."""
    overspend = partial(_log_overspend, plan, budget, None)
    log_scale = 0.0
    while overspend(log_scale) > 0:
        log_scale += LN2
        if log_scale > MOST_NOISE:
            raise PrivacyError(f"ε = {budget.epsilon:g} is out of reach of this plan, whatever the noise")
    while overspend(log_scale - LN2) <= 0:
        log_scale -= LN2
        if log_scale < LEAST_NOISE:
            raise PrivacyError(f"ε = {budget.epsilon:g} needs next to no noise; ε = inf is the non-private reference")
    return log_scale - LN2, log_scale


def _root(overspend: Callable[[float], float], bracket: tuple[float, float]) -> float:
    from scipy.optimize import brentq

    low, high = bracket
    while overspend(low) < 0:
        low -= 1
    while overspend(high) > 0:
        high += 1
    return float(brentq(overspend, low, high, xtol=1e-4, rtol=1e-4))


def most_releases(mechanism: Query, budget: Budget) -> int:
    """The largest number of releases of a mechanism, whatever its `count`, that cost at most ε.

    Raises:
        PrivacyError: a single one costs more than ε, or more than `MOST_STEPS` cost less.
        ConfigError: the mechanism has a schedule.
    """
    mechanism.refuse_schedule("counting releases")
    one = replace(mechanism, count=1).events()
    if (cost := epsilon_pld(one, budget.delta)) > budget.epsilon:
        raise PrivacyError(
            f"one release costs ε = {cost:.4g} already, above {budget.epsilon:g}; take more noise or a lower rate"
        )

    def overspends(count: int, grid: float) -> bool:
        return epsilon_on_grid(replace(mechanism, count=count).events(), budget.delta, grid) > budget.epsilon

    def last_within(low: int, grid: float) -> int:
        """The largest count within ε, searched from `low`, which is within ε."""
        step = 1
        while not overspends(low + step, grid):
            low, step = low + step, 2 * step
            if low > MOST_STEPS:
                raise PrivacyError(
                    f"more than {MOST_STEPS:,} releases cost less than ε = {budget.epsilon:g}; take less noise"
                )
        return bisect_left(range(low + 1, low + step), True, key=lambda count: overspends(count, grid)) + low

    coarse = rough_grid(one, budget.epsilon)
    rough = last_within(1, coarse)  # too few, because a coarse grid overstates ε
    fine, _ = settle_grid(replace(mechanism, count=rough).events(), budget.delta, coarse)
    return last_within(rough, fine)
