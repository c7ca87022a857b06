from __future__ import annotations

import math

import numpy as np
import pytest

from dpbench.core.metric import Estimate
from dpbench.metrics.statistics.two_samples import difference

RNG = np.random.default_rng
KINDS = {
    "normal": lambda n, rng: rng.normal(3, 2, n),
    "one in ten": lambda n, rng: rng.binomial(1, 0.1, n),
    "rare and repeated": lambda n, rng: rng.binomial(1, 0.02, n) * rng.integers(1, 4, n),
}


def test_it_is_the_difference_of_means_and_the_interval_that_of_chance() -> None:
    x, y = RNG(0).normal(1, 1, 4000), RNG(1).normal(0, 1, 1000)
    found = difference(x, y)
    assert found.value == pytest.approx(x.mean() - y.mean())
    spread = np.concatenate([x, y]).std()
    assert found.ci95 == pytest.approx(1.96 * spread * math.sqrt(1 / 4000 + 1 / 1000), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_random_parts_of_one_set_about_5_in_100_intervals_miss_0(kind: str) -> None:
    rng, missed = RNG(0), 0
    for _ in range(1000):
        found = difference(KINDS[kind](1000, rng), KINDS[kind](200, rng))
        missed += abs(found.value) > found.ci95
    assert 25 <= missed <= 85


def test_numbers_that_are_all_0_are_at_chance() -> None:
    assert difference(np.zeros(9), np.zeros(5)) == Estimate(0, 0)


def test_few_images_have_no_interval() -> None:
    assert math.isnan(difference(np.arange(9), np.arange(4)).ci95)
