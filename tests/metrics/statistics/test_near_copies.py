from __future__ import annotations

import numpy as np
import pytest

from dpbench.metrics.statistics.near_copies import copies_of, excess


def test_an_image_is_a_copy_if_the_nearest_is_less_than_half_as_far_as_the_fifth() -> None:
    distances = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1.9], [1, 1, 1, 1, 2.1], [0, 0, 0, 0, 2], [0, 0, 0, 0, 0.0]])
    indices = np.array([[3, 0, 1, 2, 4], [1, 0, 2, 3, 4], [3, 0, 1, 2, 4], [0, 1, 2, 3, 4], [4, 0, 1, 2, 3]])
    assert copies_of(indices, distances, 6).tolist() == [1, 0, 0, 2, 0, 0]


def test_it_is_the_share_of_copies_beyond_those_by_chance() -> None:
    train, reference = np.repeat([1, 0], [40, 560]), np.repeat([1, 0], [3, 97])
    found = excess(train, reference, 200)
    assert found.value == pytest.approx((40 - 3 * 6) / 200)
    assert 0.11 < found.ci95 < 0.18  # of (40 + 3) copies about 1 in 7 would be of the reference
    assert excess(np.ones(200), np.zeros(50), 200).value == 1
    assert excess(np.zeros(200), np.ones(50), 50).value == -4
    one, none = excess(np.eye(200)[0], np.zeros(50), 50), excess(np.zeros(200), np.zeros(50), 50)
    assert none.value == 0
    assert none.ci95 == pytest.approx(one.ci95, rel=0.01)


def test_one_image_copied_over_and_over_is_one_event() -> None:
    train = np.zeros(600)
    train[7] = 500
    found = excess(train, np.zeros(100), 500)
    assert found.value == 1
    assert found.ci95 > 1  # whose only original may be in train by chance
