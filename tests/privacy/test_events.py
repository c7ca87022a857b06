from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtri
from scipy.stats import binom, laplace
from vaults import a_sum

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Budget
from dpbench.privacy.accounting.composition import epsilon_pld, epsilon_rdp
from dpbench.privacy.accounting.events import Event, GaussianEvent, LaplaceEvent, PureEvent
from dpbench.privacy.accounting.gdp import gdp
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.mechanisms.choices import NoisyMax
from dpbench.privacy.mechanisms.laplace import LaplaceSum
from dpbench.privacy.plan import Plan

DELTA = 1e-5


def costs(event: Event, delta: float, exact: float) -> bool:
    """Whether ε is `exact`, up to rounding, or at most 0.3% more."""
    return exact * (1 - 1e-9) <= epsilon_pld([event], delta) <= exact * 1.003


@pytest.mark.parametrize("delta", [0.05, 1e-6])
@pytest.mark.parametrize("noise", [0.1, 1.0, 4.0])
def test_one_laplace_release_costs_what_its_densities_say(noise, delta):
    assert costs(LaplaceEvent(noise, 1.0, 1), delta, 1 / noise + 2 * math.log1p(-delta))


def test_a_laplace_release_over_a_sample_costs_what_its_densities_say():
    noise, rate = 0.5, 0.2

    def delta(epsilon: float) -> float:
        def excess(x: float) -> float:
            without, with_it = laplace.pdf(x, scale=noise), laplace.pdf(x, loc=1, scale=noise)
            return max(0.0, (1 - rate) * without + rate * with_it - math.exp(epsilon) * without)

        return quad(excess, 0, 1, limit=200)[0] + quad(excess, 1, 30)[0]

    epsilon = epsilon_pld([LaplaceEvent(noise, rate, 1)], 0.01)
    assert delta(epsilon) <= 0.01 * (1 + 1e-6)
    assert delta(0.997 * epsilon) > 0.01


@pytest.mark.parametrize("delta", [0.1, 1e-2, 1e-5])
@pytest.mark.parametrize("shares", [(1,), (1, 1), (1, 3), (1, 1, 1, 1)])
def test_laplace_noise_on_several_coordinates_never_costs_more_than_on_one(shares, delta):
    """A record that moves coordinate k by its share of the L1 norm; releases of less are releases with more noise."""
    several = [LaplaceEvent(0.5 * sum(shares) / share, 1.0, 1) for share in shares]
    assert epsilon_pld(several, delta) <= epsilon_pld([LaplaceEvent(0.5, 1.0, 1)], delta) * 1.002


def binomial_delta(epsilon: float, pure: float, count: int) -> float:
    """δ of `count` randomised responses: i true and count - i false bits have the loss (2i - count) · ε₀."""
    i = np.arange(count + 1)
    gain = -np.expm1(np.minimum(0, epsilon - (2 * i - count) * pure))
    return float(binom.pmf(i, count, 1 / (1 + math.exp(-pure))) @ gain)


@pytest.mark.parametrize(
    ("pure", "count", "delta"), [(1.0, 1, 1e-3), (0.1, 50, DELTA), (3.0, 4, DELTA), (0.01, 900, 1e-6)]
)
def test_pure_releases_cost_what_randomised_response_does(pure, count, delta):
    epsilon = epsilon_pld([PureEvent(1 / pure, 1.0, count)], delta)
    assert binomial_delta(epsilon, pure, count) <= delta * (1 + 1e-9)
    assert binomial_delta(0.995 * epsilon, pure, count) > delta


def test_one_pure_release_costs_at_most_its_epsilon():
    for pure in (1e-3, 0.7, 30.0, 2_000.0):
        assert 0.998 * pure <= epsilon_pld([PureEvent(1 / pure, 1.0, 1)], 1e-12) <= pure * 1.003


def test_a_pure_release_over_a_sample_is_amplified():
    pure, rate, delta = 2.0, 0.1, 1e-3
    removed = math.log1p(rate * math.expm1(pure))  # the larger loss, of a true bit
    present = rate / (1 + math.exp(-pure)) + (1 - rate) / (1 + math.exp(pure))
    assert costs(PureEvent(1 / pure, rate, 1), delta, removed + math.log1p(-delta / present))


@pytest.mark.parametrize("event", [LaplaceEvent(2.0, 1.0, 30), PureEvent(2.0, 1.0, 30), PureEvent(2.0, 0.1, 30)])
def test_the_value_by_rdp_is_a_bound(event):
    assert epsilon_pld([event], DELTA) < epsilon_rdp([event], DELTA)


def test_mu_of_a_pure_release_is_that_of_randomised_response_and_bounds_laplace_noise():
    of_one = 2 * ndtri(1 / (1 + math.exp(-1.5)))
    assert gdp([PureEvent(1 / 1.5, 1.0, 1)], 1e-3) == pytest.approx(of_one, rel=2e-3)
    assert 0.5 * of_one < gdp([LaplaceEvent(1 / 1.5, 1.0, 1)], 1e-3) < of_one


def test_a_mixed_plan_shares_one_scale_and_spends_its_budget():
    plan = Plan(
        a_sum(noise_multiplier=None, rate=0.1, count=20),
        LaplaceSum(name="counts", clip=2.0, ratio=3.0),
        NoisyMax(name="best", clip=1.0, ratio=5.0, candidates=4, count=2),
    )
    calibrated = calibrate(plan, Budget(2.0, DELTA))
    total, counts, best = (m.noise_multiplier for m in calibrated.mechanisms)
    assert 0.995 * 2 <= calibrated.epsilon <= 2
    assert (counts, best) == pytest.approx((3 * total, 5 * total))
    by_hand = [GaussianEvent(total, 0.1, 20), LaplaceEvent(counts, 1.0, 1), PureEvent(best, 1.0, 2)]
    assert epsilon_pld(by_hand, DELTA) == pytest.approx(calibrated.epsilon, rel=2e-3)


@pytest.mark.parametrize("mechanism", [LaplaceSum(name="m", clip=2.0), NoisyMax(name="m", clip=2.0, candidates=3)])
def test_one_release_alone_gets_the_noise_of_its_epsilon(mechanism):
    noise = calibrate(Plan(mechanism), Budget(1.5, 1e-9))["m"].noise_multiplier
    assert noise == pytest.approx(1 / 1.5, rel=3e-3)


def test_many_pure_releases_are_calibrated_on_a_grid_for_their_number():
    plan = Plan(NoisyMax(name="best", clip=1.0, candidates=2, count=1000))
    calibrated = calibrate(plan, Budget(1.0, 1e-6))
    pure = 1 / calibrated["best"].noise_multiplier
    assert binomial_delta(1.0, pure, 1000) <= 1e-6 < binomial_delta(0.99, pure, 1000)


def test_laplace_noise_on_a_sample_that_overflows_is_an_error_that_says_what_to_do():
    with pytest.raises(PrivacyError, match=r"multiplier of at least 0\.002"):
        epsilon_pld([LaplaceEvent(1e-4, 0.01, 100)], DELTA)
