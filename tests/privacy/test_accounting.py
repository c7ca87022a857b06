from __future__ import annotations

import math

import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from vaults import gaussian_delta

from dpbench.core.errors import PrivacyError
from dpbench.privacy.accounting.composition import (
    ROUNDING,
    compose,
    epsilon_on_grid,
    epsilon_pld,
    epsilon_rdp,
    settle_grid,
)
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.accounting.gaussian_profile import gaussian_epsilon

DELTA = 1e-5
MNIST = 4096 / 60_000


def subsampled_delta(epsilon: float, sigma: float, rate: float) -> float:
    """The exact δ of one Poisson-subsampled Gaussian: P = (1-q) N(0, σ²) + q N(1, σ²) against Q = N(0, σ²)."""
    x = 0.5 + sigma**2 * math.log((math.exp(epsilon) - 1 + rate) / rate)  # where P/Q = e^ε
    p = (1 - rate) * norm.sf(x / sigma) + rate * norm.sf((x - 1) / sigma)
    return p - math.exp(epsilon) * norm.sf(x / sigma)


@pytest.mark.parametrize("sigma", [0.6, 1.0, 4.0, 30.0, 3000.0])
def test_a_release_over_all_records_costs_what_the_analytic_gaussian_mechanism_costs(sigma):
    exact = brentq(lambda e: gaussian_delta(e, sigma) - DELTA, 1e-6, 50)
    assert exact <= epsilon_pld([GaussianEvent(sigma, 1.0, 1)], DELTA) * (1 + 1e-9) <= exact * 1.003


@pytest.mark.parametrize(("sigma", "rate"), [(1.0, 0.1), (0.7, 0.01), (2.0, 0.5)])
def test_a_release_over_a_poisson_sample_costs_what_its_densities_say(sigma, rate):
    exact = brentq(lambda e: subsampled_delta(e, sigma, rate) - DELTA, 1e-6, 50)
    assert exact <= epsilon_pld([GaussianEvent(sigma, rate, 1)], DELTA) * (1 + 1e-9) <= exact * 1.003


def test_releases_over_all_records_are_one_with_the_sum_of_their_precisions():
    several = [GaussianEvent(3.0, 1.0, 2), GaussianEvent(5.0, 1.0, 4)]
    one = [GaussianEvent((2 / 9 + 4 / 25) ** -0.5, 1.0, 1)]
    assert epsilon_pld(several, DELTA) == pytest.approx(epsilon_pld(one, DELTA), rel=1e-9)


def test_rate_one_is_accounted_for_as_a_plain_gaussian_and_sampling_is_cheaper():
    everyone, nearly, half = (epsilon_pld([GaussianEvent(2.0, rate, 10)], DELTA) for rate in (1.0, 1 - 1e-6, 0.5))
    assert everyone == pytest.approx(nearly, rel=5e-3)
    assert half < 0.8 * everyone


@pytest.mark.parametrize(("sigma", "epsilon"), [(12.41, 1.0), (1.784, 10.0)])
def test_rdp_gives_its_known_answers(sigma, epsilon):
    assert epsilon_rdp([GaussianEvent(sigma, MNIST, 2000)], DELTA) == pytest.approx(epsilon, rel=3e-3)


def test_rdp_bounds_the_tighter_pld():
    events = [GaussianEvent(2.0, 0.05, 100), GaussianEvent(5.0, 1.0, 3)]
    pld, rdp = epsilon_pld(events, DELTA), epsilon_rdp(events, DELTA)
    assert pld < rdp < 1.3 * pld


def test_nothing_costs_nothing_and_no_noise_costs_everything():
    assert epsilon_pld([], DELTA) == epsilon_rdp([], DELTA) == 0
    bare = [GaussianEvent(5.0, 1.0, 1), GaussianEvent(0.0, 0.1, 1)]
    assert epsilon_pld(bare, DELTA) == epsilon_rdp(bare, DELTA) == math.inf


def test_the_grid_is_refined_until_epsilon_settles_from_above():
    events = [GaussianEvent(60.0, 0.01, 200)]
    grid, epsilon = settle_grid(events, DELTA)
    assert epsilon <= epsilon_on_grid(events, DELTA, 1e-3)
    assert epsilon == pytest.approx(epsilon_on_grid(events, DELTA, grid / 3), rel=0.01)


def test_a_quick_bound_is_an_upper_bound_and_close():
    events = [GaussianEvent(1.2, 0.02, 300)]
    epsilon = epsilon_pld(events, DELTA)
    assert epsilon * (1 - 1e-3) <= epsilon_pld(events, DELTA, near=epsilon) <= 1.05 * epsilon


@pytest.mark.parametrize(
    ("rate", "noise", "steps", "epsilon"),
    [
        (256 / 60_000, 5.0, 78_000, 1.0),
        (256 / 60_000, 42.4, 4_000, 0.02),
        (1e-4, 3.613, 1_000_000, 0.1),
        (0.5, 79_600.0, 100, 1e-4),
        (0.1, 0.1144, 100, 970.0),
        (0.1, 0.03624, 100, 10_000.0),
    ],
)
def test_many_steps_tiny_and_huge_epsilons_settle_below_the_bound_by_rdp(rate, noise, steps, epsilon):
    events, delta = [GaussianEvent(noise, rate, steps)], 1.5e-6
    pld = epsilon_pld(events, delta)
    assert pld == pytest.approx(epsilon, rel=5e-3)
    assert pld < epsilon_rdp(events, delta)


def test_a_delta_that_rounding_could_hide_is_refused_with_the_smallest_one_that_it_cannot():
    events = [GaussianEvent(1.0, 0.01, 1000)]
    with pytest.raises(PrivacyError, match=r"δ = 1e-15 .* 1,000 releases .* use δ of at least 2\.2e-12"):
        epsilon_pld(events, 1e-15)
    assert epsilon_pld(events, 2.3e-12) < epsilon_rdp(events, 2.3e-12)


def test_rounding_errors_of_many_releases_stay_below_the_bound_that_is_set_aside_for_them():
    """Gaussians over all records, composed numerically in spite of their closed form."""
    for releases in (100, 10_000, 100_000):
        grid = 1 / releases**0.5 / 6
        losses = compose((GaussianEvent(releases**0.5, 1 - 1e-12, releases),), grid)
        for epsilon in (7.2, 8.0, 9.0):
            assert losses.get_delta_for_epsilon(epsilon) > gaussian_delta(epsilon, 1.0) - ROUNDING * releases


def test_rare_outputs_that_reveal_much_beside_an_epsilon_of_almost_zero_are_an_error(monkeypatch):
    monkeypatch.setattr("dpbench.privacy.accounting.composition.MOST_LOSSES", 10_000)
    with pytest.raises(PrivacyError, match="almost zero"):
        epsilon_pld([GaussianEvent(0.5, 1e-5, 1)], 1.5e-6)


def test_next_to_no_noise_on_a_sample_is_an_error_and_on_all_records_a_number():
    with pytest.raises(PrivacyError, match="next to no noise"):
        epsilon_pld([GaussianEvent(1e-5, 0.1, 3)], DELTA)
    assert epsilon_pld([GaussianEvent(1e-3, 1.0, 1)], DELTA) == pytest.approx(504_264, rel=1e-3)


@pytest.mark.parametrize("mu", [1e-3, 1e-2, 1.0, 10.0, 140.0])
@pytest.mark.parametrize(("releases", "delta"), [(1, 1e-12), (100, 1e-5), (10_000, 1e-10), (100_000, 1e-8)])
def test_numerical_compositions_of_every_size_are_just_above_the_closed_form(mu, releases, delta):
    """Samples of all records but one in 1e12 are composed numerically, and cost what all records do."""
    exact = gaussian_epsilon(mu, delta)
    numerical = epsilon_pld([GaussianEvent(releases**0.5 / mu, 1 - 1e-12, releases)], delta)
    assert exact * (1 - 1e-8) <= numerical <= exact * 1.01
