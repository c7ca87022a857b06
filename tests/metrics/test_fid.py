"""Fréchet distances of network features, against clean-fid, torch-fidelity and torchmetrics on the same features."""

from __future__ import annotations

import cleanfid.fid
import numpy as np
import pytest
import scipy.linalg
import torch
import torch_fidelity.metric_fid
import torchmetrics.image.fid

RELATIVE_ERROR = 1e-6  # of the distance; features are float32 for all
COLUMNS = {"fid": "fid", "fid-train": "fid_train", "fd-dinov2": "fd_dinov2"}


def clean_fid(x: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> float:
    sqrtm = scipy.linalg.sqrtm  # SciPy 1.18 has no `disp`, which clean-fid passes
    monkeypatch.setattr(cleanfid.fid.linalg, "sqrtm", lambda matrix, disp=True: (sqrtm(matrix), 0))
    (m1, s1), (m2, s2) = ((f.mean(0), np.cov(f, rowvar=False)) for f in (x.astype(np.float64), y.astype(np.float64)))
    return cleanfid.fid.frechet_distance(m1, s1, m2, s2)


def torch_fidelity_fid(x: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> float:
    p, q = (torch_fidelity.metric_fid.fid_features_to_statistics(torch.from_numpy(f).double()) for f in (x, y))
    found = torch_fidelity.metric_fid.fid_statistics_to_metric(p, q, verbose=False)
    return found["frechet_inception_distance"]


def torchmetrics_fid(x: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> float:
    moments = [t for f in (x, y) for t in (torch.from_numpy(f).double().mean(0), torch.from_numpy(f).double().T.cov())]
    return float(torchmetrics.image.fid._compute_fid(*moments))


@pytest.fixture
def features() -> tuple[np.ndarray, np.ndarray]:
    """Two sets of 64 correlated features at or above 0, as after a ReLU."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(64, 64)) * np.logspace(0, -2, 64)
    x, y = (np.abs(rng.normal(size=(n, 64)) @ mixing + shift) for n, shift in ((400, 0.0), (500, 0.2)))
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("other", [clean_fid, torch_fidelity_fid, torchmetrics_fid])
def test_agrees_with(other, features, scores, monkeypatch) -> None:
    x, y = features
    assert scores("fid", x, y).values["fid"] == pytest.approx(other(x, y, monkeypatch), rel=RELATIVE_ERROR)


@pytest.mark.parametrize("metric", COLUMNS)
def test_each_compares_with_its_own_split(metric: str, features, scores, monkeypatch) -> None:
    x, y = features
    train = y + 1
    expected = clean_fid(x, train if metric == "fid-train" else y, monkeypatch)
    column = COLUMNS[metric]
    values = scores(metric, x, y, train).values
    assert values == {column: pytest.approx(expected, rel=RELATIVE_ERROR), f"{column}_inf": values[f"{column}_inf"]}
    assert 0 < values[f"{column}_inf"] < expected


def test_the_interval_is_how_far_fresh_images_move_it(features, scores) -> None:
    _, y = features
    rng = np.random.default_rng(1)
    found = [scores("fid", 1.2 * y[rng.integers(len(y), size=400)], y) for _ in range(25)]
    spread = np.std([s.values["fid"] for s in found])
    assert 1.96 * spread == pytest.approx(np.mean([s.ci95["fid"] for s in found]), rel=0.35)


def test_fewer_images_than_features_are_a_caveat(features, scores) -> None:
    x, y = features
    assert scores("fid", x, y).caveats == ()
    assert scores("fid", x[:50], y).caveats == (
        "fid: 50 images for a Gaussian of 64 features: the distance is biased upwards",
        "fid: halves of 25 images for Gaussians of 64 features: fid_inf is only roughly right",
    )


@pytest.mark.parametrize("metric", COLUMNS)
def test_one_image_or_a_feature_that_is_no_number_leaves_the_cell_empty(metric: str, features, scores) -> None:
    x, y = features
    column = COLUMNS[metric]
    assert "at least 4 images, not 3" in scores(metric, x[:3], y, y).missing[column]
    x[7, 3] = np.nan
    assert scores(metric, x, y, y).missing[column] == "some features are not finite"


def test_without_train_there_is_no_fid_to_train(features, scores) -> None:
    missing = scores("fid-train", *features).missing
    assert missing == dict.fromkeys(("fid_train", "fid_train_inf"), "the train split is not available")
