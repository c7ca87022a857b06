from __future__ import annotations

import math
from contextlib import suppress

import pytest
from vaults import a_sum, gaussian_delta, steps

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Budget
from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.calibration import calibrate, most_releases, priced, rough_scale
from dpbench.privacy.plan import Plan

DELTA = 1e-5
TRAINING = steps(60_000, expected_batch=4096, steps=2000, noise_multiplier=None)
QUERY = a_sum(noise_multiplier=5.0)
FREE = a_sum(noise_multiplier=None)


@pytest.mark.parametrize(
    ("plan", "epsilon", "multiplier"),
    [
        (Plan(TRAINING), 1.0, 11.45),
        (Plan(TRAINING), 10.0, 1.694),
        (Plan(TRAINING, QUERY), 1.0, 17.15),
        (Plan(TRAINING, QUERY), 10.0, 1.701),
    ],
    ids=["alone-1", "alone-10", "with-query-1", "with-query-10"],
)
def test_the_known_answers(plan, epsilon, multiplier):
    calibrated = calibrate(plan, Budget(epsilon, DELTA))
    assert calibrated["steps"].noise_multiplier == pytest.approx(multiplier, rel=3e-3)
    assert 0.995 * epsilon <= calibrated.epsilon <= epsilon
    assert epsilon < calibrated.epsilon_rdp < 1.2 * epsilon


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("epsilon", [0.3, 1.0, 10.0])
def test_releases_over_all_records_get_the_noise_of_the_analytic_gaussian_mechanism(epsilon, count):
    sigma = calibrate(Plan(a_sum(noise_multiplier=None, count=count)), Budget(epsilon, DELTA))["sum"].noise_multiplier
    together = sigma / count**0.5
    assert gaussian_delta(epsilon, together) <= DELTA
    assert gaussian_delta(0.995 * epsilon, together) >= DELTA


def test_a_plan_of_sampled_and_full_releases_spends_its_budget():
    mixed = Plan(
        a_sum(name="sampled", noise_multiplier=None, rate=0.2, count=10),
        a_sum(name="full", noise_multiplier=None, ratio=4.0),
        steps(1000, expected_batch=30, steps=50, noise_multiplier=None, ratio=0.5),
    )
    calibrated = calibrate(mixed, Budget(3.0, DELTA))
    sampled, full, sgd = (m.noise_multiplier for m in calibrated.mechanisms)
    assert 0.995 * 3 <= calibrated.epsilon <= 3
    assert full == pytest.approx(4 * sampled)
    assert sgd == pytest.approx(0.5 * sampled)


def test_the_order_of_the_plan_does_not_matter():
    a, b = a_sum(name="a", noise_multiplier=None), a_sum(name="b", noise_multiplier=None, rate=0.3, count=5)
    one, other = (calibrate(plan, Budget(2.0, DELTA))["a"].noise_multiplier for plan in (Plan(a, b), Plan(b, a)))
    assert one == pytest.approx(other, rel=2e-3)


def test_more_noise_is_needed_for_a_smaller_epsilon_or_delta():
    noise = [calibrate(Plan(FREE), Budget(*b))["sum"].noise_multiplier for b in [(2, DELTA), (1, DELTA), (1, DELTA**2)]]
    assert noise == sorted(noise)


def test_an_infinite_epsilon_takes_all_noise_away():
    calibrated = calibrate(Plan(TRAINING, QUERY), Budget(math.inf, DELTA))
    assert [m.noise_multiplier for m in calibrated.mechanisms] == [0.0, 0.0]
    assert calibrated.epsilon == calibrated.epsilon_rdp == math.inf


def test_an_epsilon_of_zero_is_the_empty_plan():
    calibrated = calibrate(Plan(TRAINING, QUERY), Budget(0.0, DELTA))
    assert calibrated.mechanisms == ()
    assert calibrated.epsilon == calibrated.epsilon_rdp == 0


def test_a_plan_that_releases_nothing_spends_nothing():
    assert calibrate(Plan(), Budget(1.0, DELTA)).epsilon == 0


def test_fixed_noise_that_exceeds_the_budget_is_an_error_that_says_by_how_much():
    with pytest.raises(PrivacyError, match=r"fixed noise alone cost ε = 4\.\d+, above 1"):
        calibrate(Plan(TRAINING, a_sum(noise_multiplier=1.0)), Budget(1.0, DELTA))


def test_a_release_without_noise_is_within_no_finite_budget():
    with pytest.raises(PrivacyError, match="ε = inf"):
        calibrate(Plan(a_sum()), Budget(1e6, DELTA))


def test_fixed_noise_is_left_alone_and_accounted_for():
    calibrated = calibrate(Plan(QUERY), Budget(8.0, DELTA))
    assert calibrated.mechanisms == (QUERY,)
    assert gaussian_delta(calibrated.epsilon, 5.0) == pytest.approx(DELTA, rel=0.02)


def test_fixed_noise_that_costs_next_to_nothing_is_no_obstacle():
    alone, beside = (
        calibrate(plan, Budget(1.0, DELTA))["steps"].noise_multiplier
        for plan in (Plan(TRAINING), Plan(TRAINING, a_sum(noise_multiplier=3000.0)))
    )
    assert beside == pytest.approx(alone, rel=1e-3)


def test_what_fixed_noise_leaves_over_must_be_enough_for_the_free():
    cost = calibrate(Plan(QUERY), Budget(8.0, DELTA)).epsilon
    with pytest.raises(PrivacyError, match="out of reach"):
        calibrate(Plan(QUERY, a_sum(name="free", noise_multiplier=None)), Budget(cost * (1 + 1e-9), DELTA))


@pytest.mark.parametrize("budget", [Budget(1e-4, DELTA), Budget(1e5, DELTA), Budget(1.0, 1e-300)], ids=str)
def test_extreme_budgets_are_met(budget):
    assert 0.995 * budget.epsilon <= calibrate(Plan(FREE), budget).epsilon <= budget.epsilon


def test_a_delta_that_hides_the_whole_release_is_met_or_refused():
    with suppress(PrivacyError):
        assert 0.995 * 0.1 <= calibrate(Plan(FREE), Budget(0.1, 0.3)).epsilon <= 0.1


@pytest.mark.parametrize(("epsilon", "delta"), [(0.02, 1.5e-6), (1000.0, DELTA), (1.0, 1e-11)])
def test_sampled_releases_meet_budgets_of_every_size(epsilon, delta):
    plan = Plan(steps(60_000, expected_batch=256, steps=1000, noise_multiplier=None))
    assert 0.995 * epsilon <= calibrate(plan, Budget(epsilon, delta)).epsilon <= epsilon


def test_calibration_is_cached():
    assert calibrate(Plan(FREE), Budget(1.0, DELTA)) is calibrate(Plan(FREE), Budget(1.0, DELTA))


def test_a_plan_with_known_noise_is_priced():
    plan = Plan(TRAINING, QUERY).with_scale(17.15)
    assert priced(plan, DELTA).epsilon == pytest.approx(1.0, rel=3e-3)
    assert priced(plan, DELTA).mechanisms == plan.mechanisms
    with pytest.raises(PrivacyError, match="no noise multiplier yet"):
        priced(Plan(TRAINING), DELTA)


def test_a_rough_scale_is_close_to_the_calibrated_one():
    assert rough_scale(Plan(TRAINING), Budget(1.0, DELTA)) == pytest.approx(11.45, rel=0.01)


@pytest.mark.parametrize(("noise", "rate"), [(2.0, 0.03), (100.0, 1.0)])
def test_as_many_releases_as_the_budget_pays_for_and_not_one_more(noise, rate):
    mechanism = a_sum(noise_multiplier=noise, rate=rate)
    count = most_releases(mechanism, Budget(1.0, DELTA))
    within, beyond = (
        epsilon_pld(a_sum(noise_multiplier=noise, rate=rate, count=c).events(), DELTA) for c in (count, count + 1)
    )
    assert within <= 1.0 < beyond * 1.001
    assert calibrate(Plan(a_sum(noise_multiplier=None, rate=rate, count=count)), Budget(1.0, DELTA))[
        "sum"
    ].noise_multiplier == pytest.approx(noise, rel=5e-3)


def test_releases_that_cost_too_much_or_next_to_nothing_are_not_counted():
    with pytest.raises(PrivacyError, match=r"one release costs ε = .* above 1; take more noise"):
        most_releases(a_sum(noise_multiplier=2.0), Budget(1.0, DELTA))
    with pytest.raises(PrivacyError, match="more than 1,000,000 releases cost less"):
        most_releases(a_sum(noise_multiplier=1e6), Budget(1.0, DELTA))
