"""Lower bounds from many runs with and without a canary."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.auditing.curves import trade_off
from dpbench.privacy.auditing.many_runs import CHOOSING, Rates, many_runs

DELTA = 1e-5


@pytest.mark.parametrize(("passed", "runs"), [(0, 50), (3, 50), (50, 50)])
def test_clopper_pearson_bounds_are_the_rates_at_which_the_count_becomes_unlikely(passed: int, runs: int) -> None:
    rates = Rates.of(passed, runs, passed, runs, 0.1)
    high, low = rates.false_positives, rates.true_positives
    assert high == 1 if passed == runs else binom.cdf(passed, runs, high) == pytest.approx(0.05)
    assert low == 0 if passed == 0 else binom.sf(passed - 1, runs, low) == pytest.approx(0.05)


def test_rates_give_the_gaussian_curve_that_they_lie_on() -> None:
    assert Rates(norm.cdf(-1.0), norm.cdf(0.5)).gaussian == pytest.approx(1.5)
    curve = trade_off((GaussianEvent(1 / 1.5, 1.0, 1),))
    assert not Rates(norm.cdf(-1.0), norm.cdf(0.5)).refute(curve)
    assert Rates(norm.cdf(-1.0), norm.cdf(0.52)).refute(curve)


def test_an_exact_mechanism_is_refuted_no_more_often_than_stated() -> None:
    """60 audits of 400 runs with and without, at a stated failure rate of 0.3: the observed one stays below."""
    random, audits, failure, sigma = np.random.default_rng(0), 60, 0.3, 3.0
    events = [GaussianEvent(sigma, 1.0, 1)]
    epsilon = epsilon_pld(events, DELTA)
    above = 0
    for _ in range(audits):
        with_it, without = 1 + sigma * random.standard_normal(400), sigma * random.standard_normal(400)
        above += many_runs(with_it, without, events, DELTA, 1 - failure) > epsilon
    assert above / audits <= failure


@pytest.mark.parametrize(("sigma", "share"), [(3.73, 0.5), (1.08, 0.75), (0.6, 0.75)])
def test_how_close_the_bound_comes(sigma: float, share: float) -> None:
    """ε = 1, 4 and 8 at δ = 1e-5, 20,000 runs with and without, confidence 95%."""
    random, events = np.random.default_rng(1), [GaussianEvent(sigma, 1.0, 1)]
    with_it, without = 1 + sigma * random.standard_normal(20_000), sigma * random.standard_normal(20_000)
    assert share < many_runs(with_it, without, events, DELTA, 0.95) / epsilon_pld(events, DELTA) < 1


def test_the_runs_that_choose_the_threshold_prove_nothing() -> None:
    present, absent = np.zeros(400), np.zeros(400)
    present[::CHOOSING], absent[::CHOOSING] = 1.0, -1.0
    assert many_runs(present, absent, [GaussianEvent(1.0, 1.0, 1)], DELTA, 0.95) == 0


def test_half_of_the_noise_is_refuted() -> None:
    random, events = np.random.default_rng(2), [GaussianEvent(1.08, 1.0, 1)]
    with_it, without = 1 + 0.54 * random.standard_normal(1000), 0.54 * random.standard_normal(1000)
    assert many_runs(with_it, without, events, DELTA, 0.99) > epsilon_pld(events, DELTA)


def test_scores_that_say_nothing_give_no_bound() -> None:
    random, events = np.random.default_rng(3), [GaussianEvent(1.0, 1.0, 1)]
    assert many_runs(random.random(400), random.random(400), events, DELTA, 0.95) == 0
