from __future__ import annotations

import pytest
from vaults import a_sum, planned, steps

from dpbench.core.errors import PrivacyError
from dpbench.privacy.plan import Plan


def test_names_are_unique():
    with pytest.raises(PrivacyError, match="sum more than once"):
        Plan(a_sum(), steps(10), a_sum(clip=2.0))


def test_a_scale_reaches_the_free_mechanisms_only_each_times_its_ratio():
    free, fixed = a_sum(noise_multiplier=None, ratio=3.0), steps(10, noise_multiplier=7.0)
    scaled = Plan(free, fixed).with_scale(2.0)
    assert [m.noise_multiplier for m in scaled.mechanisms] == [6.0, 7.0]
    assert not Plan(free, fixed).is_calibrated
    assert scaled.is_calibrated
    assert Plan(free, fixed).fixed == Plan(fixed)


def test_a_mechanism_can_be_exchanged_for_another_of_its_name():
    assert Plan(a_sum(), steps(10)).having(steps(10, steps=3)) == Plan(a_sum(), steps(10, steps=3))


def test_without_noise_takes_the_fixed_noise_away_too():
    plan = Plan(a_sum(noise_multiplier=None), steps(10, noise_multiplier=7.0)).without_noise()
    assert [m.noise_multiplier for m in plan.mechanisms] == [0.0, 0.0]


def test_the_bill_lists_every_mechanism():
    mechanisms = a_sum(noise_multiplier=2.0), steps(10, noise_multiplier=7.0)
    assert Plan(*mechanisms).events() == [*mechanisms[0].events(), *mechanisms[1].events()]


def test_equal_plans_are_equal_and_hash_alike():
    assert Plan(a_sum(), steps(10)) == Plan(a_sum(), steps(10))
    assert len({Plan(a_sum()), Plan(a_sum()), Plan(a_sum(clip=2.0))}) == 2


def test_a_name_that_is_not_planned_is_answered_with_those_that_are():
    plan = planned(a_sum(), steps(10))
    assert plan["steps"] == steps(10)
    with pytest.raises(PrivacyError, match=r"no mechanism 'summ'; it names sum, steps"):
        plan["summ"]
    with pytest.raises(PrivacyError, match="it names none"):
        planned()["sum"]
