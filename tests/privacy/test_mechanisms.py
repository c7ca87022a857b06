from __future__ import annotations

import dataclasses
import math

import pytest
from vaults import a_sum, steps

from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.privacy.accounting.events import GaussianEvent


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0.0}, {"rate": 1.01}, {"rate": -0.1}, {"rate": math.nan}, {"count": 0}]
    + [{"clip": value} for value in (0.0, -1.0, math.inf, math.nan)]
    + [{"ratio": value} for value in (0.0, -1.0, math.inf, math.nan)]
    + [{"noise_multiplier": value} for value in (-1.0, math.inf, math.nan)],
    ids=str,
)
def test_values_that_no_guarantee_follows_from_are_refused(wrong):
    with pytest.raises(ConfigError, match="sum"):
        a_sum(**wrong)


def test_dp_sgd_needs_at_least_one_step():
    with pytest.raises(ConfigError, match="release"):
        steps(10, steps=0)


def test_fewer_records_than_the_expected_batch_are_refused_with_both_numbers():
    with pytest.raises(ConfigError, match=r"has 100 records, fewer than the expected batch of 256"):
        steps(100, expected_batch=256)


def test_the_expected_batch_must_be_positive():
    with pytest.raises(ConfigError, match="positive"):
        steps(100, expected_batch=0)


def test_sampling_rate_and_bill_come_from_the_same_object():
    mechanism = steps(1000, expected_batch=50, steps=7, noise_multiplier=1.5)
    assert mechanism.sampling_rate == 0.05
    assert mechanism.events() == [GaussianEvent(1.5, 0.05, 7)]
    assert mechanism.events(3) == [GaussianEvent(1.5, 0.05, 3)]
    assert a_sum(rate=0.2, count=4, noise_multiplier=2.0).events() == [GaussianEvent(2.0, 0.2, 4)]


def test_an_expected_batch_of_everyone_is_a_plain_gaussian():
    assert steps(60_000).sampling_rate == 1


def test_a_mechanism_without_noise_yet_has_no_bill():
    with pytest.raises(PrivacyError, match="calibrate"):
        a_sum(noise_multiplier=None).events()


def test_a_mechanism_cannot_be_changed_after_it_was_planned():
    with pytest.raises(dataclasses.FrozenInstanceError):
        a_sum().clip = 2.0
