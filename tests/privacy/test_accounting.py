from __future__ import annotations

import math

import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from vaults import gaussian_delta

from dpbench.core.errors import PrivacyError
from dpbench.privacy.accounting import (
    COARSEST_GRID,
    GaussianEvent,
    epsilon_on_grid,
    epsilon_pld,
    epsilon_rdp,
    settle_grid,
)

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


def test_rate_one_is_billed_as_a_plain_gaussian_and_sampling_is_cheaper():
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
    assert grid < COARSEST_GRID
    assert epsilon <= epsilon_on_grid(events, DELTA, COARSEST_GRID)
    assert epsilon == pytest.approx(epsilon_on_grid(events, DELTA, grid / 3), rel=0.01)


def test_an_epsilon_that_no_grid_resolves_is_an_error():
    with pytest.raises(PrivacyError, match="does not converge"):
        epsilon_pld([GaussianEvent(3e5, 1.0, 1)], 1e-6)
