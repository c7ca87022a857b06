"""Releases whose sampling rate and noise follow a schedule: what is accounted for is what is sampled and noised."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import binom
from stepping import WIDE, linear, nothing, start, weights
from vaults import SIGMAS, Images, Untouchable, a_sum, pixels, planned, steps, vault

from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Budget
from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.calibration import calibrate, most_releases
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import Segment
from dpbench.privacy.plan import Plan
from dpbench.privacy.planner import Gradients, survey

DELTA = 1e-5
LARGER_AND_QUIETER = (Segment(releases=2), Segment(releases=3, rate=4.0, noise=0.5), Segment(releases=1))


def test_releases_are_accounted_for_by_equal_pairs_of_rate_and_noise():
    mechanism = a_sum(rate=0.1, count=6, noise_multiplier=3.0, schedule=LARGER_AND_QUIETER)
    assert mechanism.events() == [GaussianEvent(3.0, 0.1, 3), GaussianEvent(1.5, 0.4, 3)]
    assert mechanism.events(4) == [GaussianEvent(3.0, 0.1, 2), GaussianEvent(1.5, 0.4, 2)]
    assert [mechanism.rate_at(t) for t in range(1, 7)] == pytest.approx([0.1, 0.1, 0.4, 0.4, 0.4, 0.1])
    assert [mechanism.noise_scale_at(t) for t in range(1, 7)] == [3, 3, 1.5, 1.5, 1.5, 3]
    assert mechanism.largest_rate == 0.4


def test_a_scheduled_plan_costs_what_its_segments_cost_together():
    schedule = (Segment(releases=100), Segment(releases=50, rate=4.0, noise=2.0))
    plan = Plan(steps(10_000, expected_batch=100, steps=150, noise_multiplier=None, schedule=schedule))
    calibrated = calibrate(plan, Budget(2.0, DELTA))
    scale = calibrated["steps"].noise_multiplier
    by_hand = Plan(
        steps(10_000, name="early", expected_batch=100, steps=100, noise_multiplier=scale),
        steps(10_000, name="late", expected_batch=400, steps=50, noise_multiplier=2 * scale),
    )
    assert epsilon_pld(by_hand.events(), DELTA) == pytest.approx(calibrated.epsilon, rel=1e-4)
    assert 0.995 * 2 <= calibrated.epsilon <= 2


def test_equal_segments_are_no_schedule_to_the_bill():
    plain, halves = (
        a_sum(rate=0.1, count=6, noise_multiplier=1.0, schedule=s) for s in ((), [Segment(releases=3)] * 2)
    )
    assert plain.events() == halves.events()


@pytest.mark.parametrize(
    ("schedule", "match"),
    [
        ([Segment(releases=5)], "the schedule has 5 releases, not 6"),
        ([Segment(releases=7), Segment(releases=-1)], "a segment needs releases"),
        ([Segment(releases=6, rate=11.0)], r"sampling rate must lie in \(0, 1\], not 1.1"),
        ([Segment(releases=6, rate=0.0)], "sampling rate must lie"),
        ([Segment(releases=6, noise=0.0)], "a positive factor of the noise"),
        ([Segment(releases=6, noise=math.nan)], "a positive factor of the noise"),
    ],
)
def test_schedules_that_no_guarantee_follows_from_are_refused(schedule, match):
    with pytest.raises(ConfigError, match=match):
        a_sum(rate=0.1, count=6, schedule=schedule)


def test_a_vault_samples_and_noises_every_release_by_its_segment():
    n, numbers = 2000, 2000
    mechanism = a_sum(rate=0.1, count=6, clip=0.5, noise_multiplier=8.0, schedule=LARGER_AND_QUIETER)
    records = Images(pixels(n, resolution=1))
    private = vault(records, mechanism)
    for number in range(1, 7):
        records.reads.clear()
        total = private.noisy_sum("sum", lambda batch: torch.zeros(len(batch), numbers))
        scale, rate = mechanism.noise_scale_at(number), mechanism.rate_at(number)
        assert float(total.std()) == pytest.approx(scale, rel=SIGMAS / math.sqrt(2 * numbers))
        taken = sum(map(len, records.reads))
        assert abs(taken - n * rate) < SIGMAS * binom.std(n, rate)
    with pytest.raises(PrivacyError, match="all 6 planned releases of 'sum' are spent"):
        private.noisy_sum("sum", lambda batch: torch.zeros(len(batch), 3))


def test_private_steps_sample_at_the_rate_of_their_segment():
    n = 2000
    mechanism = steps(n, expected_batch=200, steps=6, noise_multiplier=2.0, schedule=LARGER_AND_QUIETER)
    records = Images(pixels(n))
    stepper = start(vault(records, mechanism), linear())
    for number in range(1, 7):
        records.reads.clear()
        next(stepper)
        taken, rate = sum(map(len, records.reads)), mechanism.rate_at(number)
        assert abs(taken - n * rate) < SIGMAS * binom.std(n, rate)


def test_steps_divide_by_the_expected_batch_of_their_segment():
    n = 40
    mechanism = steps(n, expected_batch=10, steps=6, noise_multiplier=2.0, schedule=LARGER_AND_QUIETER)
    private, model = vault(Images(pixels(n)), mechanism), linear(WIDE)
    noise = []
    before = weights(model)
    for _ in start(private, model, nothing):
        noise.append(float((weights(model) - before).std()))
        before = weights(model)
    assert noise == pytest.approx([0.2, 0.2, 0.025, 0.025, 0.025, 0.2], rel=SIGMAS / math.sqrt(2 * 17 * WIDE))
    private.ledger.check_complete()


def test_receipts_name_the_schedule_and_the_shown_epsilon_follows_it(tmp_path):
    mechanism = a_sum(rate=0.1, count=6, noise_multiplier=3.0, schedule=LARGER_AND_QUIETER)
    ledger = Ledger(planned(mechanism), tmp_path / "ledger.json")
    shown = []
    for _ in range(6):
        ledger.spend(mechanism)
        shown.append(ledger.epsilon_spent())
    assert shown == sorted(shown)
    assert shown[3] >= epsilon_pld(mechanism.events(4), DELTA) * (1 - 1e-6)
    (stored,) = ledger.as_dict()["mechanisms"]
    assert stored["schedule"][1] == {"releases": 3, "rate": 4.0, "noise": 0.5}


def test_what_chooses_the_number_of_releases_refuses_a_schedule():
    mechanism = a_sum(rate=0.1, count=6, noise_multiplier=3.0, schedule=LARGER_AND_QUIETER)
    with pytest.raises(ConfigError, match="cannot deal with the schedule of 'sum'"):
        most_releases(mechanism, Budget(1.0, DELTA))
    plan = Plan(steps(1000, expected_batch=100, steps=6, noise_multiplier=None, schedule=LARGER_AND_QUIETER))
    with pytest.raises(ConfigError, match="the planner cannot deal with the schedule of 'steps'"):
        survey(plan, Budget(1.0, DELTA), Gradients(10, 1.0, 1.0, 1.0))


def test_other_data_is_refused_as_without_a_schedule():
    private = vault(Untouchable(pixels(50)), steps(40, expected_batch=10, steps=6, schedule=LARGER_AND_QUIETER))
    with pytest.raises(PrivacyError, match="planned for 40 records, but the dataset has 50"):
        start(private, linear())


def test_private_gradients_are_the_sum_of_expected_batches():
    schedule = (Segment(releases=100), Segment(releases=50, rate=4.0))
    assert steps(10_000, expected_batch=20, steps=150, schedule=schedule).gradients == 20 * 100 + 80 * 50
    assert a_sum(count=6).gradients == 0
