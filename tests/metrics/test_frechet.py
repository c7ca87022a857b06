from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from dpbench.core.errors import MissingScore
from dpbench.metrics import frechet
from dpbench.metrics.caveat import Caveat, collect


def frechet_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of arrays [n, d] or [n, groups, d], in two blocks each."""
    return frechet.frechet_distance(*(np.array_split(a.reshape(len(a), -1, a.shape[-1]), 2) for a in (x, y)))


def by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    s, t = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (x, y))
    root = scipy.linalg.sqrtm(s @ t).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s + t - 2 * root))


def whitened(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Features whose sample mean is exactly 0 and whose sample covariance is exactly the identity."""
    x = rng.normal(size=(n, d))
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)


@pytest.mark.parametrize("d", [1, 5, 40])
def test_agrees_with_the_sqrtm_formula(d: int) -> None:
    rng = np.random.default_rng(d)
    x = rng.normal(size=(300, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
    y = rng.normal(size=(200, d)) @ rng.normal(size=(d, d))
    assert frechet_distance(x, y) == pytest.approx(by_sqrtm(x, y), rel=1e-6)


def test_gives_the_closed_form_of_gaussians_that_commute() -> None:
    rng = np.random.default_rng(0)
    p, q, shift = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.5, 3.0]), np.array([1.0, 0.0, -2.0])
    rotation = scipy.linalg.qr(rng.normal(size=(3, 3)))[0]
    x, y = whitened(50, 3, rng) * p @ rotation, (whitened(80, 3, rng) * q + shift) @ rotation
    assert frechet_distance(x, y) == pytest.approx((shift**2).sum() + ((p - q) ** 2).sum(), rel=1e-9)


def test_is_zero_for_identical_features_of_any_rank() -> None:
    rng = np.random.default_rng(0)
    full, few = rng.normal(size=(200, 20)), 100 * rng.normal(size=(10, 60))
    assert frechet_distance(full, full) == pytest.approx(0, abs=1e-10)
    with collect():
        assert frechet_distance(few, few) == pytest.approx(0, abs=1e-7)  # of traces near 10^6


def test_is_right_where_covariances_are_rank_deficient() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(9, 4)) + 1
    frame = scipy.linalg.qr(rng.normal(size=(50, 50)))[0][:4]  # a rotation into 50 dimensions, 46 of them constant
    with collect() as caveats:
        deficient = frechet_distance(x @ frame, y @ frame)
    assert deficient == pytest.approx(by_sqrtm(x, y), rel=1e-6)
    assert "9 images for a Gaussian of 50 features" in caveats[0]


def test_constant_features_leave_the_distance_of_the_means() -> None:
    assert frechet_distance(np.ones((5, 3)), np.full((7, 3), 3.0)) == pytest.approx(12)


def test_groups_are_compared_each_with_its_own() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3, 4)), rng.normal(size=(50, 3, 4)) * 2
    apart = [frechet_distance(x[:, g], y[:, g])[0] for g in range(3)]
    np.testing.assert_allclose(frechet_distance(x, y), apart, rtol=1e-12)


def test_a_rotation_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 6)), rng.normal(size=(50, 6)) * 2
    rotation = scipy.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert frechet_distance(x @ rotation, y @ rotation) == pytest.approx(frechet_distance(x, y), rel=1e-12)


def test_too_few_samples_and_values_that_are_not_finite_have_no_distance() -> None:
    good = np.zeros((5, 3))
    for few in ([], [np.zeros((1, 1, 3))]):
        with pytest.raises(MissingScore, match="at least 2 images"):
            frechet.frechet_distance([good[:, None]], few)
    for value in (np.nan, np.inf):
        bad = good.copy()
        bad[2, 1] = value
        with pytest.raises(MissingScore, match="not finite"):
            frechet_distance(bad, good)


def test_fewer_samples_than_features_are_computed_with_a_caveat() -> None:
    rng = np.random.default_rng(0)
    with pytest.warns(Caveat, match="biased upwards"):
        distance = frechet_distance(rng.normal(size=(10, 30)), rng.normal(size=(100, 30)))
    assert distance > 1


def test_features_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        frechet_distance(np.zeros((5, 3)), np.zeros((5, 4)))
