"""DPImageBench's fidelity metrics against their formulas, written out here a second time on simulated features."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.stats import entropy

from dpbench.evaluation.evaluator import evaluate
from dpbench.metrics import dpimagebench_fidelity
from dpbench.metrics.statistics import neighbours

FID, PRECISION, RECALL = "dpimagebench_fid", "dpimagebench_precision", "dpimagebench_recall"
SCORE, FLD = "dpimagebench_inception_score", "dpimagebench_fld"
METRICS = ["dpimagebench-fid", "dpimagebench-inception-score", "dpimagebench-precision-recall", "dpimagebench-fld"]


def features(n: int, seed: int, scale: float = 1, d: int = 6) -> np.ndarray:
    return (scale * np.random.default_rng(seed).normal(size=(n, d)) + 3).astype(np.float32)


@pytest.fixture
def sets() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of synthetic, test and train images."""
    return features(60, 1, 1.2), features(50, 2) + 1, features(70, 3)


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return np.square(x.mean(0) - y.mean(0)).sum() + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real)


def share_inside(points: np.ndarray, centres: np.ndarray, neighbours_with_itself: int) -> float:
    """As fld's PrecisionRecall: radii from sorted distances that include 0, the one to itself, and `<`."""
    x, y = torch.from_numpy(points).double(), torch.from_numpy(centres).double()
    radii = torch.cdist(y, y).sort(1).values[:, neighbours_with_itself - 1]
    return float((torch.cdist(x, y) < radii).any(1).double().mean())


def negative_log_likelihood(x: torch.Tensor, centres: torch.Tensor, log_variances: torch.Tensor) -> torch.Tensor:
    d = x.shape[1]
    exponents = -torch.cdist(x, centres).square() / (2 * log_variances.exp()) - d / 2 * (
        log_variances + np.log(2 * np.pi)
    )
    return -(exponents.logsumexp(1) - np.log(len(centres))).mean() / d


def fitted(x: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Log variances by Adam on automatic gradients, as fld's MoG."""
    d = x.shape[1]
    v = ((torch.cdist(x, centres).square().amin(0) + 1e-3) / d).log().requires_grad_()
    origin = torch.zeros((), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([v, origin], 0.5)
    for _ in range(50):
        adam.zero_grad()
        near = -torch.cdist(x, centres).square() / (2 * v.exp()) - d / 2 * v - np.log(len(centres))
        far = -(0.9**2) * (x - x.mean(0)).square().sum(1, keepdim=True) / (2 * origin.exp()) - d / 2 * origin
        (-torch.cat([near, far], 1).logsumexp(1).mean() / d).backward()
        adam.step()
    return v.detach()


def likelihood_divergence(synthetic: np.ndarray, test: np.ndarray, train: np.ndarray) -> float:
    x, y, t = (torch.from_numpy((z - test.mean(0)) / test.std(0, ddof=1)).double() for z in (synthetic, test, train))
    half, rest = t[: len(t) // 2], t[len(t) // 2 :]
    found = negative_log_likelihood(t, x, fitted(t, x))
    return float(100 * (found - negative_log_likelihood(y, half, fitted(rest, half))))


def test_fid_is_the_frechet_distance_to_train(sets, scores) -> None:
    x, test, train = sets
    found = scores("dpimagebench-fid", x, test, train)
    assert found.values[FID] == pytest.approx(frechet(x, train), rel=1e-5)
    assert found.ci95[FID] > 0


def test_fid_uses_a_part_of_many_images(sets, scores, features, monkeypatch) -> None:
    monkeypatch.setattr(dpimagebench_fidelity, "FID_IMAGES", 30)
    monkeypatch.setattr(dpimagebench_fidelity, "BLOCK", 7)
    x, test, train = sets
    part = features(x).at_most(30)
    assert scores("dpimagebench-fid", x, test, train).values[FID] == pytest.approx(frechet(part, train), rel=1e-5)


def test_inception_score_is_that_of_all_images_at_once(sets, scores) -> None:
    x, test, train = sets
    p = np.exp(3 * x.astype(float))
    p /= p.sum(1, keepdims=True)
    expected = np.exp(np.mean([entropy(row, p.mean(0)) for row in p]))
    found = scores("dpimagebench-inception-score", 3 * x, test, train)
    assert found.values[SCORE] == pytest.approx(expected, rel=1e-5)


def test_precision_and_recall_are_those_of_open_balls(sets, scores, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "ROWS", 13)  # several blocks
    x, test, train = sets
    found = scores("dpimagebench-precision-recall", x, test, train).values
    assert found[PRECISION] == pytest.approx(share_inside(x, train, 4))
    assert found[RECALL] == pytest.approx(share_inside(train, x, 5))
    assert 0 < found[PRECISION] < 1
    assert 0 < found[RECALL] < 1


def test_images_on_the_edge_of_a_ball_are_outside(scores) -> None:
    train = np.arange(5, dtype=np.float32)[:, None] ** 2  # 0, 1, 4, 9, 16: balls of radius 9, 8, 5, 8, 15
    x = np.array([[-9], [-8.5], [-8], [31], [32], [33]], np.float32)
    found = scores("dpimagebench-precision-recall", x, train + 1, train).values
    assert found[PRECISION] == share_inside(x, train, 4) == 2 / 6


def test_a_ball_around_duplicates_does_not_hold_a_copy(scores) -> None:
    train = np.repeat(features(5, 0), 5, axis=0)
    found = scores("dpimagebench-precision-recall", train[::-1], features(9, 1), train).values
    assert found == {PRECISION: 0, RECALL: 0}
    assert scores("prdc", train[::-1], np.repeat(train, 2, axis=0)).values["precision"] == 1


def test_fld_is_the_likelihood_of_train(sets, scores, monkeypatch) -> None:
    monkeypatch.setattr(torch, "randperm", lambda n, generator: torch.arange(n))
    x, test, train = sets
    found = scores("dpimagebench-fld", x, test, train).values[FLD]
    assert found == pytest.approx(likelihood_divergence(x, test, train), rel=1e-3)


def test_copies_of_train_among_the_images_improve_fld_but_not_dpbenchs_own(scores) -> None:
    test, train, fresh = features(200, 2, d=20), features(300, 3, d=20), features(300, 4, d=20)
    copied = np.concatenate([train[:150] + 0.001, fresh[:150]])
    change = {
        metric: scores(metric, copied, test, train).values[column] - scores(metric, fresh, test, train).values[column]
        for metric, column in (("fld", "fld"), ("dpimagebench-fld", FLD))
    }
    assert change["dpimagebench-fld"] < -100
    assert change["fld"] > 2


def test_too_few_images_are_noted(sets, scores) -> None:
    for metric, wanted in zip(METRICS, (50_000, 60_000, 60_000, 10_000), strict=True):
        (caveat,) = scores(metric, *sets).caveats
        assert caveat == f"{metric}: computed from 60 images, DPImageBench's from {wanted}: not comparable"


@pytest.mark.parametrize("metric", METRICS)
def test_mnist_at_another_size_than_theirs_is_refused(metric: str, make_images, noise, run) -> None:
    x, test, train = (make_images(noise(8, seed=seed), name=name) for seed, name in enumerate(("x", "mnist", "train")))
    missing = evaluate([metric], x, test, run, train).missing
    assert set(missing.values()) == {
        "DPImageBench scores mnist at 28 pixels, not 32; run with --resolution 28",
    }


@pytest.mark.parametrize("metric", METRICS)
def test_without_weights_the_cells_say_how_to_get_them(metric: str, make_images, noise, run, monkeypatch) -> None:
    monkeypatch.setattr("dpbench.models.pretrained.finding.places", lambda file: [])
    x, test, train = (make_images(noise(8, 3, seed=seed)) for seed in range(3))
    found = evaluate([metric], x, test, run, train)
    assert set(found.missing.values()) == {
        "weights 'pytorch-fid' are not installed; run `dpbench weights get pytorch-fid`"
    }
    assert not any("not comparable" in caveat for caveat in found.caveats)
