from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from dpbench.metrics.statistics import membership


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_members_that_are_all_closer_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.random(100), 2 + rng.random(100)
    assert membership.advantage(members, others, generator()).value > 0.95  # a threshold may miss the other half's last
    assert membership.auc(members, others, generator()) == (1, 0)


def test_at_chance_the_mean_advantage_is_zero_and_some_are_negative() -> None:
    rng = np.random.default_rng(0)
    found = [membership.advantage(*rng.random((2, 50)), generator()).value for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20
    assert min(found) < 0 < max(found)


def test_choosing_the_threshold_on_the_records_themselves_would_not_be_at_chance() -> None:
    rng, found = np.random.default_rng(0), []
    for members, others in rng.random((400, 2, 50)):
        t = membership._threshold(members, others)
        found.append((members <= t).mean() - (others <= t).mean())
    assert np.mean(found) > 0.08  # what the halves are for


def test_members_and_others_are_attacked_alike() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal([[3], [4]], 1, (2, 500))
    there, back = (membership.advantage(*pair, generator()) for pair in ((near, far), (far, near)))
    assert there.value > 0.25
    assert abs(back.value) < 0.05  # being farther away is never taken for membership
    there, back = (membership.auc(*pair, generator()) for pair in ((near, far), (far, near)))
    assert there.value == pytest.approx(1 - back.value)
    assert there.ci95 == pytest.approx(back.ci95)


def test_half_of_a_known_gap_is_measured() -> None:
    rng = np.random.default_rng(0)
    copied = rng.random(4000) < 0.3
    found = membership.advantage(np.where(copied, 0, 1 + rng.random(4000)), 1 + rng.random(4000), generator())
    assert found.value == pytest.approx(0.3, abs=0.02)
    assert found.ci95 == pytest.approx(1.96 * np.sqrt(0.3 * 0.7 / 4000), rel=0.4)


def test_the_auc_is_that_of_scikit_learn_with_ties() -> None:
    members, others = np.random.default_rng(0).integers([[0], [1]], [[9], [10]], (2, 300)).astype(float)
    found = membership.auc(members, others, generator())
    expected = roc_auc_score(np.repeat([1, 0], 300), -np.concatenate([members, others]))
    assert found.value == pytest.approx(expected, rel=1e-12)


def test_the_interval_of_the_auc_covers_chance_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [membership.auc(*rng.random((2, 60)), generator(k)) for k in range(200)]
    assert 0.9 < np.mean([abs(f.value - 0.5) < f.ci95 for f in found]) < 0.99
