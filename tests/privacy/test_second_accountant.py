"""Every preset's plan, as calibrated to ε = 1 or 10, before three accountants that share no code with dpbench's.

The ε that dpbench claims must not be below what they hold for possible, nor more than 1% above it. What they say comes
with an error: 0.2% for opacus' PRV, and one to six percent of δ for the simulation, which is at most 0.3% of ε.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import cycle

import pytest
from accountants import delta_by_simulation, epsilon_by_dp_accounting, epsilon_by_prv
from preset_plans import dataset_of, preset_plan, presets

from dpbench.core.specs import Budget, default_delta
from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.calibration import calibrate

pytestmark = pytest.mark.filterwarnings("ignore:Optimal order")  # of the Rényi bound by which opacus chooses its domain

MARGIN = 0.01


@dataclass(frozen=True)
class Claim:
    """That these releases cost ε at δ."""

    events: tuple[GaussianEvent, ...]
    delta: float
    epsilon: float


def claim_of(method: str, preset: str, epsilon: float) -> Claim | None:
    """What dpbench claims for a preset at a budget; None if it releases anything but Gaussian noise over all records or
    Poisson samples, which is all that the accountants know. For other events, see their own tests.
    """
    delta = default_delta(dataset_of(method, preset).n_train)
    plan = preset_plan(method, preset)
    if not all(isinstance(e, GaussianEvent) for e in plan.with_scale(1.0).events()):
        return None
    calibrated = calibrate(plan, Budget(epsilon, delta))
    events = tuple(e for m in calibrated.mechanisms for e in m.events())
    return Claim(events, delta, calibrated.epsilon)


def preset_claims() -> dict[Claim, str]:
    """The claims for all presets, at ε = 1 and 10 in turns -> the first preset that each is for."""
    claims: dict[Claim, str] = {}
    for (method, preset), epsilon in zip(presets(), cycle([1.0, 10.0]), strict=False):
        if claim := claim_of(method, preset, epsilon):
            claims.setdefault(claim, f"{method}-{preset}-{epsilon}")
    return claims


def agrees_with_dp_accounting(claim: Claim) -> bool:
    """Upper bounds both, on different grids."""
    other = epsilon_by_dp_accounting(claim.events, claim.delta, grid=1e-4 * claim.epsilon)
    return abs(claim.epsilon - other) <= 2e-3 * other


def agrees_with_prv(claim: Claim) -> bool:
    lower, upper = epsilon_by_prv(claim.events, claim.delta, error=2e-3 * claim.epsilon)
    return lower <= claim.epsilon <= (1 + MARGIN) * upper


def agrees_with_simulation(claim: Claim) -> bool:
    """δ at ε is within the budget in both directions; at an ε that is 1% smaller, in one of them it is not."""
    epsilon = claim.epsilon
    removed, below = delta_by_simulation(claim.events, [epsilon, (1 - MARGIN) * epsilon], "remove", draws=2e6)
    (added,) = delta_by_simulation(claim.events, [epsilon], "add", draws=5e5)
    return max(removed.lower, added.lower) <= claim.delta <= below.upper


ACCOUNTANTS = pytest.mark.parametrize(
    "agrees", [agrees_with_dp_accounting, agrees_with_prv, agrees_with_simulation], ids=lambda f: f.__name__
)

ODD = {
    "nearly all records": [GaussianEvent(5.0, 0.999, 10)],
    "all but one in a billion": [GaussianEvent(5.0, 1 - 1e-9, 10)],
    "several over all records": [GaussianEvent(5.0, 1.0, 2), GaussianEvent(9.0, 1.0, 3), GaussianEvent(2.0, 0.05, 200)],
    "much noise beside little": [GaussianEvent(0.8, 0.3, 4), GaussianEvent(0.7, 1e-3, 30), GaussianEvent(60.0, 0.5, 9)],
    "little noise over all": [GaussianEvent(0.4, 1.0, 1), GaussianEvent(3.0, 0.2, 40)],
    "one release": [GaussianEvent(0.5, 0.5, 1)],
    "next to nothing": [GaussianEvent(20.0, 0.1, 3)],
    "many small steps": [GaussianEvent(60.0, 0.5, 1000)],
}

EXTREME = {
    "tiny ε": Claim((GaussianEvent(42.4, 256 / 60_000, 4000),), 1.5e-6, 0.02),
    "tiny δ": Claim((GaussianEvent(1.0, 0.01, 1000),), 1e-11, 3.6),
    "tiny δ over all records": Claim((GaussianEvent(1.0, 1.0, 1),), 1e-100, 21.0),
    "huge ε": Claim((GaussianEvent(0.1144, 0.1, 100),), 1.5e-6, 1000.0),
}
"""Releases, a δ, and about their ε."""


@pytest.fixture(scope="module")
def claims() -> dict[Claim, str]:
    return preset_claims()


@ACCOUNTANTS
def test_every_preset_costs_what_is_claimed(claims, agrees):
    assert len(claims) >= 30
    assert [name for claim, name in claims.items() if not agrees(claim)] == []


@ACCOUNTANTS
@pytest.mark.parametrize("events", ODD.values(), ids=ODD)
def test_odd_compositions_cost_what_is_claimed(events, agrees):
    assert agrees(Claim(tuple(events), 1e-6, epsilon_pld(events, 1e-6)))


@pytest.mark.parametrize("claim", EXTREME.values(), ids=EXTREME)
def test_extreme_compositions_cost_what_a_simulation_says(claim):
    """The other accountants do not resolve them."""
    epsilon = epsilon_pld(claim.events, claim.delta)
    assert epsilon == pytest.approx(claim.epsilon, rel=0.05)
    assert agrees_with_simulation(replace(claim, epsilon=epsilon))


@ACCOUNTANTS
@pytest.mark.parametrize("share", [0.98, 1.03])
@pytest.mark.parametrize(
    "preset", [("wavelet", "paper", 1.0), ("dp-feta", "small/shapes", 10.0), ("dp-merf", "small", 1.0)]
)
def test_a_claim_that_is_too_low_or_too_high_is_noticed(preset, share, agrees):
    claim = claim_of(*preset)
    assert not agrees(replace(claim, epsilon=share * claim.epsilon))


def test_a_release_that_is_left_out_is_noticed_by_all_of_them():
    central, training = claim_of("dp-feta", "small", 1.0).events
    alone = Claim((central, training), 1e-6, epsilon_pld([training], 1e-6))
    assert not agrees_with_dp_accounting(alone)
    assert not agrees_with_prv(alone)
    assert not agrees_with_simulation(alone)
