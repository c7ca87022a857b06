from __future__ import annotations

import numpy as np
import pytest

from dpbench.core.errors import MissingScore
from dpbench.metrics.statistics import gaussians
from dpbench.metrics.statistics.gaussians import EACH, WHOLE, Groups, fit, fit_halves, together


def test_two_halves_together_are_the_whole() -> None:
    x = np.random.default_rng(0).normal(size=(51, 2, 4)) + 30
    for merged, whole in zip(together(fit([x[:20]]), fit([x[20:]])), fit([x]), strict=True):
        np.testing.assert_allclose(merged, whole, rtol=1e-9)


def test_the_halves_of_a_stored_set_are_two_random_parts(features, monkeypatch) -> None:
    monkeypatch.setattr("dpbench.evaluation.features.BLOCK_BYTES", 200)  # several blocks
    x = np.random.default_rng(0).normal(size=(21, 2, 3)).astype(np.float32)
    stored = features(x)
    whole, halves = fit_halves(stored, EACH)
    first = stored.part(10)
    for found, rows in ((whole, np.arange(21)), (halves[0], first), (halves[1], np.setdiff1d(np.arange(21), first))):
        expected = fit([x[rows].astype(np.float64)])
        np.testing.assert_allclose(found.mean, expected.mean, atol=1e-6)
        np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-6)
        assert found.samples == len(rows)
    assert not np.array_equal(first, np.arange(10))


def test_slices_have_all_groups_and_bounded_covariances(monkeypatch) -> None:
    monkeypatch.setattr(gaussians, "COVARIANCE_BYTES", 3 * 8 * 6 * 6)

    def parts(groups: Groups, *shape: int) -> list[tuple[int, int]]:
        return [(part.within.start, part.within.stop) for part in groups.slices(shape)]

    assert parts(EACH, 8, 6) == [(0, 3), (3, 6), (6, 8)]
    assert parts(Groups(2, slice(4, 16)), 32, 3) == [(4, 10), (10, 16)]
    assert parts(EACH, 2, 20) == [(0, 1), (1, 2)]  # one group is larger than the bound
    assert parts(WHOLE, 5) == [(0, 5)]


def test_moments_are_computed_once_for_a_stored_set(features, monkeypatch) -> None:
    stored = features(np.random.default_rng(0).normal(size=(20, 2, 3)).astype(np.float32))
    first, whole = fit_halves(stored, EACH), fit_halves(stored, WHOLE)
    monkeypatch.setattr(gaussians, "fit", lambda blocks: pytest.fail("fitted again"))
    for kept, fitted in zip(fit_halves(stored, EACH).whole, first.whole, strict=True):
        np.testing.assert_array_equal(kept, fitted)
    assert (first.whole.mean.shape, whole.whole.mean.shape) == ((2, 3), (1, 6))


def test_three_images_have_no_halves(features) -> None:
    with pytest.raises(MissingScore, match="at least 4 images, not 3"):
        fit_halves(features(np.zeros((3, 2), np.float32)), WHOLE)
