"""KID against clean-fid, torch-fidelity, torchmetrics and scikit-learn on the same features."""

from __future__ import annotations

import cleanfid.fid
import numpy as np
import pytest
import torch
import torch_fidelity.metric_kid
import torchmetrics.image.kid
from sklearn.metrics.pairwise import polynomial_kernel

from dpbench.metrics import kid

RELATIVE_ERROR = 1e-4  # sets are as large as subsets, so that all draws are the same set


def features(n: int, seed: int, shift: float = 0, d: int = 2048) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.abs(rng.normal(size=(n, 8)) @ np.random.default_rng(0).normal(size=(8, d)) / 4 + shift).astype(np.float32)


def by_clean_fid(x: np.ndarray, y: np.ndarray) -> float:
    return cleanfid.fid.kernel_distance(x.astype(np.float64), y.astype(np.float64), num_subsets=1)


def by_torch_fidelity(x: np.ndarray, y: np.ndarray) -> float:
    x, y = (torch.from_numpy(f).double() for f in (x, y))
    found = torch_fidelity.metric_kid.kid_features_to_metric(
        x, y, kid_subsets=1, kid_subset_size=len(x), verbose=False, rng_seed=0
    )
    return found["kernel_inception_distance_mean"]


def by_torchmetrics(x: np.ndarray, y: np.ndarray) -> float:
    return float(torchmetrics.image.kid.poly_mmd(*(torch.from_numpy(f).double() for f in (x, y))))


def by_scikit_learn(x: np.ndarray, y: np.ndarray) -> float:
    n, m = len(x), len(y)
    (xx, yy, xy) = (polynomial_kernel(a.astype(np.float64), b.astype(np.float64)) for a, b in ((x, x), (y, y), (x, y)))
    own, other = (xx.sum() - np.trace(xx)) / (n * (n - 1)), (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return own + other - 2 * xy.mean()


@pytest.mark.parametrize("other", [by_clean_fid, by_torch_fidelity, by_torchmetrics, by_scikit_learn])
def test_agrees_with(other, scores, monkeypatch) -> None:
    monkeypatch.setattr(kid, "SUBSETS", 1)
    x, y = features(150, 1, 0.05), features(150, 2)
    assert scores("kid", x, y).values["kid"] == pytest.approx(other(x, y), rel=RELATIVE_ERROR)


def test_is_the_mean_over_subsets_without_replacement(scores, monkeypatch) -> None:
    monkeypatch.setattr(kid, "SIZE", 40)
    x, y = features(200, 1, 0.5, 16), features(300, 2, d=16)
    expected = by_scikit_learn(x, y)  # of all images at once, which subsets estimate without bias
    found = scores("kid", x, y)
    assert found.values["kid"] == pytest.approx(expected, rel=0.1)
    assert found.values["kid"] != pytest.approx(expected, rel=1e-6)
    assert found.protocol["kid"]["metric"] == "v1, 100 subsets of at most 1000 images"


def test_the_interval_is_how_far_fresh_images_move_it(scores, monkeypatch) -> None:
    monkeypatch.setattr(kid, "SIZE", 60)
    monkeypatch.setattr(kid, "SUBSETS", 20)
    y = features(400, 0, d=16)
    found = [scores("kid", features(150, seed, 0.3, 16), y) for seed in range(1, 26)]
    spread = np.std([s.values["kid"] for s in found])
    assert 1.96 * spread == pytest.approx(np.mean([s.ci95["kid"] for s in found]), rel=0.4)


def test_one_image_or_a_feature_that_is_no_number_leaves_the_cell_empty(scores) -> None:
    x, y = features(20, 1, d=16), features(30, 2, d=16)
    assert "at least 2 images, not 1" in scores("kid", x[:1], y).missing["kid"]
    x[7, 3] = np.inf
    assert scores("kid", x, y).missing["kid"] == "some features are not finite"
