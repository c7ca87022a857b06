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


ENERGY = {  # the standard deviation of each feature
    "in the first features": np.repeat([5, 0.5], [8, 24]),
    "in all features": np.ones(32),
    "in the last features": np.repeat([0.1, 3], [8, 24]),
    "in no feature": np.zeros(32),
}


@pytest.mark.parametrize("energy", ENERGY)
@pytest.mark.parametrize("parts", [1, 3])
def test_neighbours_are_those_of_all_distances_wherever_the_energy_is(energy: str, parts: int) -> None:
    x, y = (ENERGY[energy] * pool(n, 32, seed) for n, seed in ((40, 1), (1500, 2)))
    x, y = x.astype(np.float32), y.astype(np.float32)
    part, own = np.arange(1500) % parts, np.arange(40) * 30
    distances = np.linalg.norm(x[:, None].astype(float) - y, axis=2)
    distances[np.arange(40), own] = np.inf
    found = nearest(x, np.array_split(y, 3), part, own)
    for k in range(parts):
        assert (part[found[k]] == k).all()
        assert (found[k] != own).all()
        least = np.where(part == k, distances, np.inf).min(1)
        np.testing.assert_allclose(distances[np.arange(40), found[k]], least, rtol=1e-5)


def test_a_search_may_end_with_any_image_that_is_near_enough() -> None:
    x, y = pool(30, seed=1), pool(200)
    distances = np.linalg.norm(x[:, None] - y, axis=2)
    least, enough = distances.min(1), np.sort(distances, axis=1)[:, 60].astype(np.float32)
    enough[::2] = 0
    read = []
    (found,) = nearest(x, (read.append(1) or b for b in np.array_split(y, 20)), np.zeros(200, np.int64), None, enough)
    got = distances[np.arange(30), found]
    np.testing.assert_allclose(got[::2], least[::2])
    assert (got[1::2] < enough[1::2]).all()
    assert len(read) == 20
    nearest(
        x,
        (read.append(1) or b for b in np.array_split(y, 20)),
        np.zeros(200, np.int64),
        None,
        enough.max() + 0 * x[:, 0],
    )
    assert len(read) < 40  # the rest of the pool is not read


def test_a_copy_is_found_among_images_that_are_large_and_close_together() -> None:
    y = (1000 + np.random.default_rng(0).random((500, 400))).astype(np.float32)  # |x|² has no digits left for |x - y|²
    chosen = np.arange(0, 500, 7)
    (found,) = nearest(y[chosen], [y], np.zeros(500, dtype=np.int64))
    np.testing.assert_array_equal(found, chosen)


@pytest.mark.parametrize(("n", "size", "count", "sizes"), [(12, 4, 3, [4] * 3), (14, 4, 2, [4, 4, 6]), (5, 5, 1, [5])])
def test_parts_are_of_equal_size_and_the_rest_is_a_part_of_its_own(n, size, count, sizes) -> None:
    order = np.random.default_rng(0).permutation(n)
    parts = parts_of(order, size, count)
    assert np.bincount(parts).tolist() == sizes
    assert (np.diff(parts[order]) >= 0).all()
