from __future__ import annotations

import math

import mpmath
import pytest

from dpbench.privacy.accounting.gaussian_profile import gaussian_epsilon, log_delta


def exact_log_delta(mu: float, epsilon: float) -> float:
    """ln δ(ε) by Balle and Wang's formula as it stands, with so many digits that cancellation does not matter."""
    with mpmath.workdps(700):
        e, m = mpmath.mpf(epsilon), mpmath.mpf(mu)
        return float(mpmath.log(mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)))


@pytest.mark.parametrize("mu", [1e-6, 0.03, 1.0, 40.0, 442.0])
@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0, 37.0])
def test_the_profile_is_that_of_the_formula(mu, spread):
    epsilon = mu * mu / 2 + spread * mu
    assert log_delta(mu, epsilon) == pytest.approx(exact_log_delta(mu, epsilon), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("delta", [0.3, 1e-5, 1e-15, 1e-18, 1e-100, 1e-300])
@pytest.mark.parametrize("mu", [1e-4, 0.1, 1.0, 10.0, 442.7])
def test_epsilon_is_an_upper_bound_and_hardly_more(mu, delta):
    epsilon = gaussian_epsilon(mu, delta)
    assert exact_log_delta(mu, epsilon) <= math.log(delta)
    if epsilon > 0:
        assert exact_log_delta(mu, epsilon * (1 - 1e-7)) > math.log(delta)


def test_a_delta_above_the_total_variation_costs_nothing():
    assert gaussian_epsilon(0.01, 0.1) == 0
    assert gaussian_epsilon(1e-20, 1e-5) == 0
