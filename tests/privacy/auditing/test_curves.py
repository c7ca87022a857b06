"""Trade-off curves of compositions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.auditing.curves import STEP, STRONGEST, TradeOff, refuted_epsilon, trade_off

GAUSSIAN = (GaussianEvent(1.25, 1.0, 1),)
SAMPLED = (GaussianEvent(0.8, 0.1, 12), GaussianEvent(4.0, 1.0, 2))


@pytest.mark.parametrize("x", [1e-4, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_the_curve_of_a_gaussian_mechanism_is_the_exact_one_or_barely_above(x: float) -> None:
    exact = norm.cdf(norm.ppf(x) + 1 / 1.25)
    assert exact <= trade_off(GAUSSIAN).power(x) <= exact + 1e-3 * min(exact, 1 - exact)


@pytest.mark.parametrize("events", [GAUSSIAN, SAMPLED])
def test_the_inverse_undoes_the_power(events: tuple[GaussianEvent, ...]) -> None:
    curve = trade_off(events)
    for x in np.linspace(0.001, 0.9, 20):
        assert curve.inverse(curve.power(x)) == pytest.approx(x, rel=1e-6)
    assert curve.inverse(0.0) == 0
    assert curve.power(1.0) == 1


def test_no_test_of_a_subsampled_composition_beats_its_curve_and_the_best_one_comes_close() -> None:
    """Likelihood ratio tests of simulated releases, for an addition and for a removal."""
    random, runs = np.random.default_rng(0), 200_000

    def ratios(present: bool) -> np.ndarray:
        total = np.zeros(runs)
        for e in SAMPLED:
            for _ in range(e.count):
                taken = random.random(runs) < e.sampling_rate
                x = present * taken + e.noise_multiplier * random.standard_normal(runs)
                total += np.log1p(e.sampling_rate * np.expm1((2 * x - 1) / (2 * e.noise_multiplier**2)))
        return total

    absent, present, curve = ratios(False), ratios(True), trade_off(SAMPLED)
    for share in (0.01, 0.1, 0.5):
        adding = (present > np.quantile(absent, 1 - share)).mean()
        removing = (absent < np.quantile(present, share)).mean()
        error = 5 * (curve.power(share) / runs) ** 0.5
        assert max(adding, removing) <= curve.power(share) + error
        assert max(adding, removing) >= 0.97 * curve.power(share) - error


def test_the_bound_is_the_planned_composition_with_other_noise() -> None:
    def bound(power: float) -> float:
        return refuted_epsilon(GAUSSIAN, 1e-5, lambda curve: power > curve.power(0.1))

    for sigma in (0.9, 1.25, 4.0):
        power = norm.cdf(norm.ppf(0.1) + 1 / sigma)
        assert bound(power) == pytest.approx(epsilon_pld([GaussianEvent(sigma, 1.0, 1)], 1e-5), rel=0.025)
    assert bound(0.1) == 0
    assert bound(0.2) < bound(0.3) < bound(0.9)


def test_what_refutes_everything_gives_the_largest_bound_that_is_looked_for() -> None:
    strongest = epsilon_pld([GaussianEvent(6.0 * STEP**STRONGEST, 1.0, 1)], 1e-5)
    assert refuted_epsilon([GaussianEvent(6.0, 1.0, 1)], 1e-5, lambda curve: True) == pytest.approx(strongest, rel=0.01)


def test_pure_differential_privacy_is_a_curve_of_two_lines() -> None:
    curve = TradeOff(np.array([np.log(3)]), np.array([0.0]))
    assert curve.power(0.1) == pytest.approx(0.3)
    assert curve.power(0.7) == pytest.approx(0.9)
    assert curve.inverse(0.3) == pytest.approx(0.1)
