from __future__ import annotations

import numpy as np
import pytest

from dpbench.core.metric import Estimate
from dpbench.metrics.statistics import membership


def advantage(members: np.ndarray, others: np.ndarray, seed: int = 0) -> Estimate:
    rng = np.random.default_rng(seed)
    return membership.advantage(members, others, rng.permutation(len(members)), rng.permutation(len(others)))


def test_members_that_are_all_closer_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    assert advantage(rng.random(300), 2 + rng.random(100)).value > 0.97  # a threshold may miss the other half's last


def test_at_chance_the_mean_is_zero_some_are_negative_and_5_in_100_intervals_miss_0() -> None:
    rng = np.random.default_rng(0)
    found = [advantage(rng.random(300), rng.random(60), k) for k in range(400)]
    values, halves = np.array([(f.value, f.ci95) for f in found]).T
    assert abs(values.mean()) < 3 * values.std() / 20
    assert values.min() < 0 < values.max()
    assert 0.02 < (abs(values) > halves).mean() < 0.08


def test_choosing_the_threshold_on_the_records_themselves_would_not_be_at_chance() -> None:
    rng, found = np.random.default_rng(0), []
    for members, others in rng.random((400, 2, 50)):
        t = membership._threshold(members, others)
        found.append((members <= t).mean() - (others <= t).mean())
    assert np.mean(found) > 0.08  # what the halves are for


def test_being_farther_away_is_never_taken_for_membership() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal([[3], [4]], 1, (2, 500))
    assert advantage(near, far).value > 0.25
    assert abs(advantage(far, near).value) < 0.05


def test_half_of_a_known_gap_is_measured() -> None:
    rng = np.random.default_rng(0)
    copied = rng.random(4000) < 0.3
    found = advantage(np.where(copied, 0, 1 + rng.random(4000)), 1 + rng.random(1000))
    assert found.value == pytest.approx(0.3, abs=0.02)


def test_the_halves_are_those_of_the_orders_and_not_of_the_positions() -> None:
    """Records of two classes in turn: the threshold of one class would say nothing of the other."""
    rng, class_of = np.random.default_rng(0), np.arange(2000) % 2
    members, others = 10 * class_of + rng.random(2000), 10 * class_of + 0.5 + rng.random(2000)
    assert advantage(members, others).value == pytest.approx(0.25, abs=0.05)
