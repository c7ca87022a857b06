"""FLD on small cases: likelihoods by SciPy's densities, the fit by torch's automatic gradient, and what FLD is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from dpbench.evaluation.stratified import stratified_part
from dpbench.metrics import fld
from dpbench.metrics.statistics import gaussian_mixture


def features(n: int, seed: int, scale: float = 1, d: int = 6) -> np.ndarray:
    return (scale * np.random.default_rng(seed).normal(size=(n, d)) + 3).astype(np.float32)


def test_the_likelihood_is_that_of_the_mixture() -> None:
    x, data, log_variances = features(5, 0), features(7, 1), np.linspace(-1, 1, 5)
    densities = [
        [
            multivariate_normal.logpdf(point, centre, np.exp(v) * np.eye(6))
            for centre, v in zip(x, log_variances, strict=True)
        ]
        for point in data
    ]
    expected = -np.mean(logsumexp(densities, axis=1) - np.log(5)) / 6
    found = gaussian_mixture.negative_log_likelihood(
        *map(torch.from_numpy, (data, x)), torch.from_numpy(log_variances).float()
    )
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch", [12, 30])
def test_the_fit_follows_the_published_steps(batch: int, run, monkeypatch) -> None:
    monkeypatch.setattr(gaussian_mixture, "ROWS", 8)  # several blocks
    monkeypatch.setattr(gaussian_mixture, "BATCH", batch)
    x, data = torch.from_numpy(features(9, 0)), torch.from_numpy(features(30, 1))
    squares = (data[:, None] - x[None]).square().sum(-1)
    v = ((squares.min(0).values + 1e-3) / 6).log().requires_grad_()
    far = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([v, far], 0.5)
    for rows in 50 * torch.arange(30).split(batch):
        optimizer.zero_grad()
        centres = -squares[rows] / (2 * v.exp()) - 3 * v - np.log(9)
        origin = -0.81 * (data - data.mean(0))[rows].square().sum(1, keepdim=True) / (2 * far.exp()) - 3 * far
        (-torch.cat([centres, origin], 1).logsumexp(1).mean() / 6).backward()
        optimizer.step()
    np.testing.assert_allclose(gaussian_mixture.fitted(x, data, run, "fit"), v.detach(), atol=2e-3)


def test_is_near_zero_for_fresh_images_and_high_for_blurred_few_and_copied_ones(scores) -> None:
    train, test = features(400, 1, d=20), features(300, 2, d=20)
    fresh = features(200, 3, d=20)
    found = {
        name: scores("fld", x, test, train).values["fld"]
        for name, x in {
            "fresh": fresh,
            "poor": features(200, 3, 2, d=20),
            "few": np.repeat(fresh[:10], 20, axis=0) + 0.01 * features(200, 4, d=20),
            "copied": train[:200] + 0.001,
        }.items()
    }
    assert abs(found["fresh"]) < 3
    assert all(found[name] > found["fresh"] + 5 for name in ("poor", "few", "copied")), found


def test_a_feature_that_is_constant_in_test_does_no_harm(scores) -> None:
    train, test, x = features(60, 1), features(50, 2), features(40, 3)
    for part in (train, test, x):
        part[:, 2] = 7
    assert abs(scores("fld", x, test, train).values["fld"]) < 100


def test_the_number_of_images_is_bounded(scores, monkeypatch) -> None:
    monkeypatch.setattr(fld, "CENTRES", 20)
    monkeypatch.setattr(fld, "MOST", 30)
    train, test, x = features(60, 1), features(60, 2), features(40, 3)
    part = scores("fld", x, test, train)
    of_part = (z[stratified_part(None, len(z), len(z) // 2)] for z in (x, test, train))
    assert part.values == pytest.approx(scores("fld", *of_part).values)
    assert part.protocol["fld"]["metric"] == "v2, at most 5000 centres, 10000 images of train and of test"


def test_without_train_or_with_a_feature_that_is_no_number_the_cell_is_empty(scores) -> None:
    train, test, x = features(60, 1), features(50, 2), features(40, 3)
    assert scores("fld", x, test).missing["fld"] == "the train split is not available"
    x[3, 3] = np.nan
    assert scores("fld", x, test, train).missing["fld"] == "some features are not finite"


def test_one_image_has_a_number_and_one_of_test_or_train_a_reason(scores) -> None:
    train, test, x = features(60, 1), features(50, 2), features(40, 3)
    assert scores("fld", x[:1], test, train).values["fld"] > 0
    for reference, learnt in ((test[:1], train), (test, train[:1])):
        assert "at least 2 images of train and of test" in scores("fld", x, reference, learnt).missing["fld"]
