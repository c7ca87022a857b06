from __future__ import annotations

import numpy as np
import pytest

from dpbench.metrics.statistics import nearest
from dpbench.metrics.statistics.nearest import neighbours

MIRROR = np.array([[1], [-1]], dtype=np.float32)


def pool(n: int, seed: int = 0, d: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 1, (n, 2, d)).astype(np.float32)


def all_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[q, n], to the image or its mirror image."""
    straight, mirrored = (np.linalg.norm(x[:, None] - z, axis=(2, 3)) for z in (y, MIRROR * y))
    return np.minimum(straight, mirrored)


@pytest.mark.parametrize("blocks", [1, 7, 25])
def test_neighbours_are_those_of_all_distances_whatever_the_blocks(blocks: int, monkeypatch) -> None:
    monkeypatch.setattr(nearest, "ROWS", 8)
    x, y = pool(20, 1), pool(50)
    x[:10, 1] *= -1  # nearest to mirror images
    distances = all_distances(x, y)
    found = neighbours(x, np.array_split(y, blocks), 5)
    np.testing.assert_array_equal(found.indices, distances.argsort(1)[:, :5])
    np.testing.assert_allclose(found.distances, np.sort(distances, 1)[:, :5], rtol=1e-5)
    np.testing.assert_allclose(found.closest, distances.min(0), rtol=1e-3)


def test_copies_and_mirrored_copies_have_distance_0_however_large_the_features() -> None:
    y = 1000 + pool(100)
    x = np.concatenate([y[:10], MIRROR * y[10:20]])
    found = neighbours(x, [y], 2)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(20))
    assert not found.distances[:, 0].any()
    assert found.distances[:, 1].min() > 0.1
