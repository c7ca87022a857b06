from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import log_ndtr, ndtr
from vaults import a_sum, steps

from dpbench.core.specs import Budget
from dpbench.privacy.accounting.composition import SECOND_DELTA, compose, epsilon_pld, settle_grid
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.accounting.gdp import NEGLIGIBLE, gdp, mu_above
from dpbench.privacy.calibration import calibrate, priced
from dpbench.privacy.plan import Plan

DELTA = 1.5e-6

COMPOSITIONS = {
    "mnist": [GaussianEvent(2.53, 4096 / 60_000, 4395)],
    "small batches": [GaussianEvent(0.464, 1024 / 162_770, 250)],
    "sampled and full": [GaussianEvent(0.5, 0.001, 3), GaussianEvent(8.0, 1.0, 2)],
    "one sample": [GaussianEvent(0.8, 0.01, 1)],
    "half of the records": [GaussianEvent(0.3, 0.1, 3)],
}


def gaussian_profile(epsilon: np.ndarray, mu: float) -> np.ndarray:
    """δ_μ(ε)."""
    return ndtr(mu / 2 - epsilon / mu) - np.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))


def profiles(events: list[GaussianEvent], grid: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ε, and δ(ε) of removing and of adding a record, at points between those that μ was chosen by."""
    losses = compose(tuple(events), grid)
    epsilon = np.linspace(0, losses.get_epsilon_for_delta(NEGLIGIBLE), 1001)
    removed, added = (
        [side.get_delta_for_epsilon(float(e)) for e in epsilon] for side in (losses._pmf_remove, losses._pmf_add)
    )
    return epsilon, np.array(removed), np.array(added)


@pytest.mark.parametrize("events", COMPOSITIONS.values(), ids=COMPOSITIONS)
def test_the_gaussian_profile_is_above_that_of_the_composition_and_touches_it(events):
    grid, _ = settle_grid(events, DELTA)
    mu = gdp(events, grid)
    epsilon, removed, added = profiles(events, grid / 2)
    above = gaussian_profile(epsilon, mu) + NEGLIGIBLE
    assert (removed <= above * (1 + 1e-6)).all()
    assert (added <= above * (1 + 1e-6)).all()
    below = gaussian_profile(epsilon, 0.995 * mu) + NEGLIGIBLE
    assert (np.maximum(removed, added) > below).any()


def test_releases_over_all_records_have_the_mu_of_their_precision():
    events = [GaussianEvent(3.0, 1.0, 2), GaussianEvent(0.5, 1.0, 4)]
    assert gdp(events, 1e-3) == math.sqrt(2 / 9 + 4 / 0.25)


@pytest.mark.parametrize("mu", [0.24, 1.9, 8.0])
def test_the_mu_of_a_numerical_profile_of_a_gaussian_is_its_own(mu):
    events = [GaussianEvent(1 / mu, 1 - 1e-7, 1)]
    assert mu * (1 - 1e-5) <= gdp(events, 3e-4 * mu) <= mu * 1.002


def test_one_release_over_a_sample_by_its_error_rates():
    """P = (1-q) N(0, σ²) + q N(1, σ²) against N(0, σ²), rejected above a threshold: no composition, no grid."""
    sigma, rate = 0.8, 0.01
    threshold = np.linspace(-4, 12, 4000)
    alpha = ndtr(-threshold / sigma)
    beta = (1 - rate) * ndtr(threshold / sigma) + rate * ndtr((threshold - 1) / sigma)
    mus = mu_of_errors(alpha, np.minimum(1, beta + NEGLIGIBLE)), mu_of_errors(alpha + NEGLIGIBLE, beta)
    assert gdp([GaussianEvent(sigma, rate, 1)], 3e-4) == pytest.approx(max(map(np.max, mus)), rel=2e-3)


def mu_of_errors(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The μ at which N(0, 1) and N(μ, 1) can be told apart with these error rates, where both are below 1."""
    from scipy.special import ndtri

    told = (alpha > 1e-300) & (beta < 1)
    return -ndtri(alpha[told]) - ndtri(beta[told])


def test_chords_of_a_gaussian_profile_ask_for_its_mu_and_a_little_more():
    epsilon = np.linspace(0, 8, 200)
    assert 1 <= mu_above(epsilon, gaussian_profile(epsilon, 1.0)) < 1.001


def test_more_noise_or_fewer_releases_have_a_smaller_mu():
    mus = [gdp([GaussianEvent(noise, 0.1, count)], 3e-4) for noise, count in [(1.0, 40), (1.0, 20), (2.0, 20)]]
    assert mus == sorted(mus, reverse=True)
    assert mus[-1] > 0


def test_nothing_has_no_mu_and_no_noise_an_infinite_one():
    assert gdp([], 1e-3) == 0
    assert gdp([GaussianEvent(5.0, 0.1, 1), GaussianEvent(0.0, 1.0, 1)], 1e-3) == math.inf
    assert gdp([GaussianEvent(1.0, 1e-11, 1)], 1e-3) == 0  # less than is looked at


def test_hardly_any_privacy_is_none():
    assert gdp([GaussianEvent(0.05, 0.5, 1)], 5e-3) == math.inf


@pytest.mark.parametrize(
    ("noise", "epochs", "central_limit", "mu_central_limit", "moments"),
    [(1.3, 15, 0.83, 0.23, 1.19), (1.1, 60, 2.32, 0.57, 3.01), (0.7, 45, 5.07, 1.13, 7.10)],
)
def test_published_bounds_from_below_and_above_enclose_what_is_found(
    noise, epochs, central_limit, mu_central_limit, moments
):
    """MNIST with batches of 256 at δ = 1e-5, table 1 of Bu et al. (1911.11607): by a central limit, which understates
    finite compositions (Gopi et al. 2106.02848), and by the moments accountant, which is an upper bound."""
    plan = priced(
        Plan(steps(60_000, expected_batch=256, steps=round(epochs * 60_000 / 256), noise_multiplier=noise)), 1e-5
    )
    assert central_limit < plan.epsilon < moments
    assert mu_central_limit < plan.mu < 1.3 * mu_central_limit


def test_a_plan_says_its_mu_and_its_epsilon_at_a_second_delta():
    plan = calibrate(Plan(steps(60_000, expected_batch=1024, steps=250, noise_multiplier=None)), Budget(1.0, DELTA))
    events = [e for m in plan.mechanisms for e in m.events()]
    assert plan.epsilon_at_second_delta == pytest.approx(epsilon_pld(events, SECOND_DELTA), rel=1e-3)
    assert plan.epsilon_at_second_delta < 0.95 * plan.epsilon
    assert plan.mu == pytest.approx(gdp(events, settle_grid(events, DELTA)[0]), rel=1e-3)


def test_at_the_second_delta_both_epsilons_are_one():
    plan = calibrate(Plan(a_sum(noise_multiplier=None, rate=0.1, count=9)), Budget(2.0, SECOND_DELTA))
    assert plan.epsilon_at_second_delta == plan.epsilon


def test_equal_mu_is_equal_cost_at_every_delta_where_the_mechanisms_are_gaussian():
    one, other = (calibrate(Plan(a_sum(noise_multiplier=None)), Budget(1.0, delta)) for delta in (1e-5, 1e-7))
    assert one.mu > 1.1 * other.mu
    assert one.epsilon == pytest.approx(other.epsilon, rel=5e-3)


def test_plans_that_cost_nothing_or_everything_do_so_in_every_currency():
    free = calibrate(Plan(a_sum()), Budget(0.0, DELTA))
    bare = calibrate(Plan(a_sum(rate=0.5), steps(10, noise_multiplier=3.0)), Budget(math.inf, DELTA))
    empty = calibrate(Plan(), Budget(1.0, DELTA))
    assert [p.mu for p in (free, bare, empty)] == [0, math.inf, 0]
    assert [p.epsilon_at_second_delta for p in (free, bare, empty)] == [0, math.inf, 0]
    assert priced(Plan(a_sum()), DELTA).mu == math.inf
