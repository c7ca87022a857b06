"""Lower bounds from the guesses of one run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import binom, norm

from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.auditing.curves import TradeOff, refuted_epsilon, trade_off
from dpbench.privacy.auditing.one_run import Attempt, Guesses, Run, best_attempt, one_run

DELTA = 1e-5


def gaussian_run(sigma: float, m: int, random: np.random.Generator) -> Run:
    """m canaries of an exact Gaussian mechanism each."""
    present = random.random(m) < 0.5
    return present + sigma * random.standard_normal(m), present


@pytest.mark.parametrize(
    ("m", "r", "v", "delta", "published"),
    [
        (100, 100, 75, 0.0, 0.702),  # arXiv 2305.08846, appendix D
        (100, 100, 75, 1e-4, 0.699),
        (1000, 100, 75, 1e-4, 0.673),
        (100_000, 1510, 1439, 1e-5, 2.675),  # section 7
    ],
)
def test_published_bounds_by_epsilon_and_delta(m: int, r: int, v: int, delta: float, published: float) -> None:
    assert Guesses(m, r, v).lower_bound(delta, 0.05) == pytest.approx(published, abs=1e-3)


def test_the_p_value_is_a_binomial_tail_without_delta() -> None:
    assert Guesses(100, 100, 75).p_value(math.log(3), 0.0) == pytest.approx(0.553, abs=1e-3)
    assert Guesses(100, 50, 25).p_value(0.0, 0.0) == pytest.approx(binom.sf(24, 50, 0.5))
    assert Guesses(100, 50, 0).p_value(0.0, 0.0) == 1


def test_bounds_grow_with_right_guesses_and_shrink_with_confidence() -> None:
    curve = trade_off((GaussianEvent(2.0, 1.0, 1),))
    bounds = [Guesses(400, 200, v).lower_bound(DELTA, 0.05) for v in range(0, 201, 10)]
    assert bounds == sorted(bounds)
    assert bounds[10] == 0 < bounds[-1]
    refuted = [Guesses(400, 200, v).refute(curve, 0.05) for v in range(201)]
    assert refuted == sorted(refuted)
    assert refuted[0] is False
    assert refuted[-1] is True
    least = refuted.index(True)
    assert Guesses(400, 200, least).refute(curve, 0.5)
    assert not Guesses(400, 200, least).refute(curve, 1e-4)


def largest_probability(curve: TradeOff, m: int, r: int, c: int) -> float:
    """The most that P[right ≥ c] can be under the inequalities a_v ≤ power(b_v) for v = 1 ... r: a linear programme."""
    growth, deltas = np.exp(curve.epsilons), curve.deltas
    slopes, heights = np.append(growth, 1 / growth), np.append(deltas, 1 - (1 - deltas) / growth)
    w = np.arange(r + 1)
    rows = [
        (w >= v) * w / m - slope * (w >= v - 1) * (w < r) * (r - w) / m for v in range(1, r + 1) for slope in slopes
    ]
    found = linprog(-1.0 * (w >= c), A_ub=rows, b_ub=np.tile(heights, r), A_eq=np.ones((1, r + 1)), b_eq=[1.0])
    assert found.status == 0
    return -found.fun


@pytest.mark.parametrize(("m", "r", "c"), [(6, 6, 5), (12, 12, 9), (30, 10, 9), (40, 40, 31), (25, 8, 8)])
@pytest.mark.parametrize("points", [1, 5])
def test_the_bound_by_the_curve_is_what_its_inequalities_allow(m: int, r: int, c: int, points: int) -> None:
    exact = trade_off((GaussianEvent(1.6, 1.0, 1),))
    few = np.linspace(20, 120, points, dtype=int)
    curve = TradeOff(exact.epsilons[few], exact.deltas[few])
    largest = largest_probability(curve, m, r, c)
    assert 0.01 < largest < 1
    assert Guesses(m, r, c).refute(curve, largest * 1.001)
    assert not Guesses(m, r, c).refute(curve, largest * 0.999)


@pytest.mark.parametrize("failure", [0.3, 0.05, 0.001])
@pytest.mark.parametrize("m", [10, 100, 400])
def test_randomised_response_is_refuted_no_more_often_than_stated(m: int, failure: float) -> None:
    """m answers, each true with probability e^ε / (1 + e^ε): the worst that ε allows. Probabilities are exact."""
    curve, rate = TradeOff(np.array([1.0]), np.array([0.0])), 1 / (1 + math.exp(-1.0))
    likely = [v for v in range(m + 1) if binom.sf(v - 1, m, rate) > failure]
    by_curve = [v for v in range(m + 1) if not Guesses(m, m, v).refute(curve, failure)]
    by_epsilon = [v for v in range(m + 1) if Guesses(m, m, v).p_value(1.0, 0.0) > failure]
    assert by_epsilon == likely  # tight
    assert set(likely) <= set(by_curve)
    assert len(by_curve) <= len(likely) + 0.05 * m + 1


@pytest.mark.parametrize("mu", [0.3, 1.0])
def test_gaussian_canaries_are_refuted_no_more_often_than_stated(mu: float) -> None:
    """Guesses about all of m canaries of a μ-GDP mechanism each; probabilities are exact."""
    m, failure, curve = 500, 0.05, trade_off((GaussianEvent(1 / mu, 1.0, 1),))
    least = next(v for v in range(m + 1) if Guesses(m, m, v).refute(curve, failure))
    assert binom.sf(least - 1, m, norm.cdf(mu / 2)) <= failure


@pytest.mark.parametrize("sigma", [0.6, 1.08, 3.73])
@pytest.mark.parametrize("attempt", [Attempt(20, 20), Attempt(60, 0), Attempt(200, 200)])
def test_gaussian_canaries_with_abstentions_are_refuted_no_more_often_than_stated(
    sigma: float, attempt: Attempt
) -> None:
    """200 runs; at a stated failure rate of 0.3 the observed one stays within its error."""
    random, runs, failure = np.random.default_rng(1), 200, 0.3
    events = (GaussianEvent(sigma, 1.0, 1),)
    curve, epsilon = trade_off(events), epsilon_pld(events, DELTA)
    found = [attempt.guess(*gaussian_run(sigma, 400, random)) for _ in range(runs)]
    error = 4 * (failure * (1 - failure) / runs) ** 0.5
    assert np.mean([g.refute(curve, failure) for g in found]) <= failure + error
    assert np.mean([g.p_value(epsilon, DELTA) <= failure for g in found]) <= failure + error


@pytest.mark.parametrize(("sigma", "share"), [(3.73, 0.2), (1.08, 0.4), (0.6, 0.45)])
def test_how_close_the_bound_by_the_curve_comes(sigma: float, share: float) -> None:
    """ε = 1, 4 and 8 at δ = 1e-5, 4,000 canaries, confidence 95%: on average at least these shares of ε."""
    random, events = np.random.default_rng(2), (GaussianEvent(sigma, 1.0, 1),)
    epsilon = epsilon_pld(events, DELTA)
    attempt = best_attempt([gaussian_run(sigma, 4000, random) for _ in range(5)], DELTA, 0.05)
    found = [one_run([attempt.guess(*gaussian_run(sigma, 4000, random))], events, DELTA, 0.95) for _ in range(4)]
    assert share < np.mean([f.by_curve for f in found]) / epsilon < 1
    assert all(f.by_epsilon <= f.by_curve < epsilon for f in found)


def test_a_mechanism_with_less_noise_than_claimed_is_refuted() -> None:
    random, claimed = np.random.default_rng(3), (GaussianEvent(1.08, 1.0, 1),)
    attempts = [best_attempt([gaussian_run(s, 3000, random) for _ in range(5)], DELTA, 0.01) for s in (1.08, 0.54)]
    run = gaussian_run(0.4, 3000, random)
    found = one_run([attempt.guess(*run) for attempt in attempts], claimed, DELTA, 0.99)
    assert found.by_curve > epsilon_pld(claimed, DELTA)


def test_both_bounds_and_all_numbers_of_guesses_share_the_failure_probability() -> None:
    """The larger bound is reported, so that a true claim is refuted as rarely as stated."""
    tried, events = [Guesses(400, 200, 150), Guesses(400, 100, 85)], (GaussianEvent(2.0, 1.0, 1),)
    found, failure = one_run(tried, events, DELTA, confidence=0.95), 0.05 / 4
    assert found.by_epsilon == max(guesses.lower_bound(DELTA, failure) for guesses in tried) > 0
    refuted = refuted_epsilon(events, DELTA, lambda curve: any(guesses.refute(curve, failure) for guesses in tried))
    assert found.by_curve == refuted > 0


def test_an_attempt_guesses_the_surest() -> None:
    scores, present = np.array([3.0, -1.0, 0.5, 2.0, -2.0]), np.array([True, True, False, True, False])
    assert Attempt(2, 0).guess(scores, present) == Guesses(5, 2, 2)
    assert Attempt(2, 2).guess(scores, present) == Guesses(5, 4, 3)
    assert Attempt(0, 1).guess(scores, present) == Guesses(5, 1, 1)
    assert Attempt(3, 2).guess(scores, present) == Guesses(5, 5, 3)


def test_few_guesses_are_made_where_canaries_are_rarely_sampled() -> None:
    """One canary in 50 shows, and then beyond doubt: guesses about the others only add wrong ones."""
    random = np.random.default_rng(4)
    present = random.random(2000) < 0.5
    scores = np.where(present & (random.random(2000) < 0.02), 10.0, 0.0) + random.standard_normal(2000)
    attempt = best_attempt([(scores, present)], DELTA, 0.05)
    assert attempt.looks_out == 0
    assert attempt.looks_in < 100
