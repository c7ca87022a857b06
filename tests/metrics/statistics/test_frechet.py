from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import numpy as np
import pytest
import scipy.linalg
import torch
from image_fixtures import FeaturesInMemory

from dpbench.core.errors import MissingScore
from dpbench.evaluation.caveats import Caveat, collect_caveats
from dpbench.metrics.statistics import frechet, gaussians
from dpbench.metrics.statistics.gaussians import EACH, WHOLE, Gaussians, Groups, fit


def frechet_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of arrays [n, d] or [n, groups, d], in two blocks each."""
    p, q = (fit(np.array_split(a.reshape(len(a), -1, a.shape[-1]), 2)) for a in (x, y))
    return frechet.transport(p, q).distance


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
    with collect_caveats():
        assert frechet_distance(few, few) == pytest.approx(0, abs=1e-7)  # of traces near 10^6


def test_is_right_where_covariances_are_rank_deficient() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(9, 4)) + 1
    frame = scipy.linalg.qr(rng.normal(size=(50, 50)))[0][:4]  # a rotation into 50 dimensions, 46 of them constant
    with collect_caveats() as caveats:
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
            fit(few)
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


def skewed(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Features [n, 1, d] with long tails and correlations."""
    return ((rng.exponential(size=(n, d)) - 1) @ np.random.default_rng(7).normal(size=(d, d)))[:, None]


def test_both_ways_give_the_same_distance_and_map() -> None:
    rng = np.random.default_rng(0)
    s, t = (fit([skewed(n, 12, rng)]).covariance[0] for n in (60, 70))
    (fast, root), (slow, other_root) = frechet._by_cholesky(s, t, np.inf), frechet._by_pivots(s, t)
    assert fast == pytest.approx(slow, rel=1e-12)
    assert frechet._overlap(s, t, np.inf) == pytest.approx(fast, rel=1e-12)
    assert frechet._overlap(s, t, 0) == pytest.approx(slow, rel=1e-12)
    np.testing.assert_allclose(root @ root.T, other_root @ other_root.T, rtol=1e-8)
    transport = root @ root.T
    np.testing.assert_allclose(transport @ s @ transport, t, rtol=1e-8)  # what makes it the transport map


def test_small_distances_of_ill_conditioned_features_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    scales = np.logspace(0, -7, 60)  # Cholesky factors exist, but squares of singular values span 28 decades
    x = whitened(300, 60, rng) * scales
    y = whitened(300, 60, rng) * (scales * (1 + 1e-6))
    assert frechet_distance(x, y) == pytest.approx(1e-12 * np.square(scales).sum(), rel=1e-2)


@pytest.mark.parametrize("d", [4, 30])
def test_influences_are_what_a_little_more_weight_on_an_image_changes(d: int) -> None:
    rng = np.random.default_rng(0)
    x, y = skewed(25, d, rng), skewed(40, d, rng) + 1  # with 30 features, of no more images than features
    with collect_caveats():
        p, q = fit([x]), fit([y])
        influences = frechet.transport(p, q).influences(x)[:, 0]
        for image in (0, 7):
            weights = np.full(len(x), 1 / len(x)) * (1 - 1e-5)
            weights[image] += 1e-5
            mean = weights @ x[:, 0]
            covariance = (x[:, 0] - mean).T @ ((x[:, 0] - mean) * weights[:, None])
            plain = Gaussians(p.mean, p.covariance * (1 - 1 / len(x)), p.samples)
            moved = Gaussians(mean[None], covariance[None], p.samples)
            change = (frechet.transport(moved, q).distance - frechet.transport(plain, q).distance)[0] / 1e-5
            exact = frechet.transport(plain, q).influences(x)[:, 0]
            assert change == pytest.approx(exact[image] - exact.mean(), rel=1e-2)
            assert influences[image] - influences.mean() == pytest.approx(change, rel=0.2, abs=0.05 * np.ptp(exact))


def test_influences_of_float32_images_are_as_good_for_an_interval() -> None:
    rng = np.random.default_rng(0)
    scales = np.logspace(0, -5, 40)  # as of pixels, whose covariances have a wide range of eigenvalues
    x, y = (rng.normal(size=(500, 40)) * scales @ whitened(80, 40, rng)[:40] + 3 for _ in range(2))
    found = frechet.transport(fit([x[:, None]]), fit([y[:, None]]))
    exact, rounded = (found.influences(x[:, None].astype(dtype))[:, 0] for dtype in (np.float64, np.float32))
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded - rounded.mean(), exact - exact.mean(), atol=1e-3 * exact.std())


def test_the_interval_agrees_with_a_bootstrap_of_images_and_with_fresh_sets(features) -> None:
    rng = np.random.default_rng(0)
    reference = skewed(300, 3, rng) + 0.5
    q = fit([reference])
    x = skewed(300, 3, rng)
    sets = (features(f.astype(np.float32)) for f in (x, reference))
    found = frechet.estimates("fd", *sets, EACH, torch.Generator().manual_seed(0))["fd"]

    def half_width(sets: Iterable[np.ndarray]) -> float:
        low, high = np.quantile([frechet.distance(fit([s]), q) for s in sets], [0.025, 0.975])
        return (high - low) / 2

    resampled = half_width(x[rng.integers(300, size=300)] for _ in range(400))
    fresh = half_width(skewed(300, 3, rng) for _ in range(400))
    assert found.ci95 == pytest.approx(resampled, rel=0.25)
    assert found.ci95 == pytest.approx(fresh, rel=0.35)


@pytest.mark.parametrize("groups", [EACH, WHOLE, Groups(together=2), Groups(2, slice(2, 6))])
def test_slices_of_groups_add_up_to_the_whole(features, monkeypatch, groups: Groups) -> None:
    rng = np.random.default_rng(0)
    sets = [features(rng.exponential(size=(n, 6, 4)).astype(np.float32)) for n in (90, 70)]
    found = []
    for size in (64 * 2**20, 2 * 8 * 4 * 4):  # all groups, and at most two at a time
        monkeypatch.setattr(gaussians, "COVARIANCE_BYTES", size)
        found.append(frechet.estimates("fd", *sets, groups, torch.Generator().manual_seed(0), 0.5))
    for column in ("fd", "fd_inf"):
        np.testing.assert_allclose(found[1][column], found[0][column], rtol=1e-6)
        assert found[1][column].value == pytest.approx(found[0][column].value, rel=1e-12)


def test_memory_does_not_grow_with_the_number_of_groups(features, monkeypatch) -> None:
    monkeypatch.setattr(gaussians, "COVARIANCE_BYTES", bound := 4 * 8 * 64 * 64)
    draws = torch.Generator().manual_seed(0)
    few, many = (features(np.random.default_rng(0).random((6, groups, 64), np.float32)) for groups in (4, 24))
    peaks = []
    with collect_caveats():
        for sets in (few, few, many):  # the first one imports what is needed
            tracemalloc.start()
            frechet.estimates("fd", sets, sets, EACH, draws)
            peaks.append(tracemalloc.get_traced_memory()[1] / bound)
            tracemalloc.stop()
    assert peaks[1] < 16
    assert peaks[2] < 1.5 * peaks[1]


SPECTRUM = np.arange(1, 25) ** -0.5
"""Standard deviations of features, which fall as those of images do."""


def estimates(n: int, sets: int, scale: float, shift: float) -> np.ndarray:
    """(d², its limit, half the width of the interval) of `sets` fresh sets of n images against one reference."""
    rng, draws = np.random.default_rng(n), torch.Generator().manual_seed(0)
    reference = FeaturesInMemory(rng.normal(size=(20_000, 24)) * SPECTRUM)
    found = []
    for _ in range(sets):
        x = FeaturesInMemory((rng.normal(size=(n, 24)) * scale + shift) * SPECTRUM)
        plain, limit = frechet.estimates("fd", x, reference, WHOLE, draws).values()
        found.append([plain.value, limit.value, limit.ci95])
    return np.array(found)


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1.3, 0.3)])
def test_the_limit_is_the_distance_of_the_distributions_whatever_the_number_of_images(scale, shift) -> None:
    true = np.square(SPECTRUM).sum() * ((scale - 1) ** 2 + shift**2)
    for n in (100, 300):
        plain, limit, _ = estimates(n, 100, scale, shift).mean(0)
        assert abs(limit - true) < 0.15 * (plain - true)


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1.3, 0.3)])
def test_the_interval_of_the_limit_covers_its_mean_over_fresh_sets(scale, shift) -> None:
    _, limit, half = estimates(200, 250, scale, shift).T
    assert 0.91 <= np.mean(abs(limit - limit.mean()) < half) <= 0.985


def test_halves_without_more_images_than_features_are_a_caveat() -> None:
    rng = np.random.default_rng(0)
    enough, few = (FeaturesInMemory(rng.normal(size=(n, 10))) for n in (22, 21))
    draws = torch.Generator().manual_seed(0)
    with collect_caveats() as caveats:
        frechet.estimates("fd", enough, enough, WHOLE, draws)
        assert not caveats
        frechet.estimates("fd", enough, few, WHOLE, draws)
    assert caveats == ["halves of 10 images for Gaussians of 10 features: fd_inf is only roughly right"]
