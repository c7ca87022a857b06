from __future__ import annotations

import numpy as np
import pytest

from dpbench.metrics.statistics.nearest import nearest, parts_of


def pool(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 1, (n, d)).astype(np.float32)


def test_neighbours_are_those_of_all_distances_whatever_the_blocks_and_parts() -> None:
    x, y, parts = pool(20, seed=1), pool(50), np.random.default_rng(2).integers(0, 3, 50)
    distances = np.linalg.norm(x[:, None] - y, axis=2)
    expected = [np.where(parts == k, distances, np.inf).argmin(1) for k in range(3)]
    for blocks in (1, 7, 50):
        np.testing.assert_array_equal(nearest(x, np.array_split(y, blocks), parts), expected)


def test_an_image_can_be_left_out_as_its_own_neighbour() -> None:
    y = pool(30)
    distances = np.linalg.norm(y[:, None] - y, axis=2)
    np.fill_diagonal(distances, np.inf)
    (found,) = nearest(y, np.array_split(y, 4), np.zeros(30, dtype=np.int64), np.arange(30))
    np.testing.assert_array_equal(found, distances.argmin(1))


def test_a_copy_is_found_among_images_that_are_large_and_close_together() -> None:
    y = (1000 + np.random.default_rng(0).random((500, 400))).astype(np.float32)  # |x|² has no digits left for |x - y|²
    chosen = np.arange(0, 500, 7)
    (found,) = nearest(y[chosen], [y], np.zeros(500, dtype=np.int64))
    np.testing.assert_array_equal(found, chosen)


@pytest.mark.parametrize(("n", "size", "count", "sizes"), [(12, 4, 3, [4] * 3), (14, 4, 2, [4, 4, 6]), (5, 5, 1, [5])])
def test_parts_are_of_equal_size_and_the_rest_is_a_part_of_its_own(n, size, count, sizes) -> None:
    parts = parts_of(n, size, count)
    assert np.bincount(parts).tolist() == sizes
    assert all(np.ptp(np.flatnonzero(parts == k)) > n / 2 for k in range(count))  # spread over the set
