"""Turns a plan and a budget into noise: the composition costs at most ε and at least 99.5% of it (rule R2)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import lru_cache

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Budget
from dpbench.privacy.accounting import COARSEST_GRID, epsilon_on_grid, epsilon_pld, epsilon_rdp, settle_grid
from dpbench.privacy.plan import CalibratedPlan, Plan

TIGHTNESS = 0.995
"""The share of ε that a calibrated plan spends at least."""

AIM = 0.999
"""The share of ε that calibration aims at."""

UNUSUAL_DELTA = 1e-5


@lru_cache(maxsize=256)
def calibrate(plan: Plan, budget: Budget) -> CalibratedPlan:
    """Chooses the scale of the free noise multipliers.

    ε = ∞ takes all noise away; ε = 0 gives the empty plan, which refuses every query.

    Raises:
        PrivacyError: the mechanisms with fixed noise alone exceed ε.
    """
    if budget.delta > UNUSUAL_DELTA:
        warnings.warn(f"δ = {budget.delta:.2g} is above {UNUSUAL_DELTA:g}: a weak guarantee", stacklevel=2)
    if budget.epsilon == 0:
        return CalibratedPlan((), budget, 0.0, 0.0)
    if math.isinf(budget.epsilon):
        return CalibratedPlan(plan.without_noise().mechanisms, budget, math.inf, math.inf)
    fixed = epsilon_pld(plan.fixed.events(), budget.delta)
    if fixed > budget.epsilon:
        raise PrivacyError(f"the mechanisms with fixed noise alone cost ε = {fixed:.4g}, above {budget.epsilon:g}")
    if not plan.is_calibrated:
        plan = plan.with_scale(_smallest_scale(plan, budget))
    return CalibratedPlan(
        plan.mechanisms,
        budget,
        epsilon_pld(plan.events(), budget.delta),
        epsilon_rdp(plan.events(), budget.delta),
    )


def _smallest_scale(plan: Plan, budget: Budget) -> float:
    """The noise scale at which the composition costs ε, less a little: found on a rough grid, then on a fine one."""

    def log_overspend(log_scale: float, grid: float) -> float:
        events = plan.with_scale(math.exp(log_scale)).events()
        return math.log(max(epsilon_on_grid(events, budget.delta, grid), 1e-9) / (AIM * budget.epsilon))

    log_scale = _root(lambda x: log_overspend(x, COARSEST_GRID), _bracket(plan, budget))
    for _ in range(5):  # the grid that settles at one scale settles at its neighbours; confirmed all the same
        grid, epsilon = settle_grid(plan.with_scale(math.exp(log_scale)).events(), budget.delta)
        if (2 * AIM - 1) * budget.epsilon <= epsilon <= budget.epsilon:
            return math.exp(log_scale)
        log_scale = _root(lambda x, grid=grid: log_overspend(x, grid), (log_scale - 0.1, log_scale + 0.1))  # type: ignore[misc]
    raise PrivacyError(
        f"no noise scale makes this plan cost between {TIGHTNESS:.1%} and 100% of ε = {budget.epsilon:g}"
    )


def _bracket(plan: Plan, budget: Budget) -> tuple[float, float]:
    """Logarithms of a scale that costs too much and of one that does not, a factor of two apart."""

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
