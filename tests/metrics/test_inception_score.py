"""The Inception Score against torch-fidelity on the same logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch_fidelity.metric_isc

RELATIVE_ERROR = 1e-6


def logits(n: int, seed: int, classes: int = 12) -> np.ndarray:
    return (3 * np.random.default_rng(seed).normal(size=(n, classes))).astype(np.float32)


def by_torch_fidelity(x: np.ndarray) -> float:
    found = torch_fidelity.metric_isc.isc_features_to_metric(torch.from_numpy(x), splits=10, shuffle=False)
    return found["inception_score_mean"]


def test_agrees_with_torch_fidelity_on_the_same_splits(scores, monkeypatch) -> None:
    monkeypatch.setattr(torch, "randperm", lambda n, generator: torch.arange(n))
    x = logits(200, 0)
    found = scores("inception-score", x, logits(5, 1)).values["inception_score"]
    assert found == pytest.approx(by_torch_fidelity(x), rel=RELATIVE_ERROR)


def test_images_of_equal_logits_have_the_least_score_and_certain_balanced_ones_the_most(scores) -> None:
    reference = logits(5, 1)
    same = scores("inception-score", np.ones((50, 12)), reference)
    assert same.values["inception_score"] == pytest.approx(1)
    certain = scores("inception-score", 1000 * np.eye(12)[np.arange(12_000) % 12], reference)
    assert certain.values["inception_score"] == pytest.approx(12, rel=1e-2)
    assert certain.protocol["inception-score"]["metric"] == "v2, 10 splits"


def test_sorting_by_class_does_not_upset_the_splits(scores) -> None:
    sorted_by_class = 1000 * np.eye(10)[np.arange(5000) // 500]
    in_turn = 1000 * np.eye(10)[np.arange(5000) % 10]
    for x in (sorted_by_class, in_turn):
        assert scores("inception-score", x, logits(5, 1, 10)).values["inception_score"] > 9


def test_few_images_or_a_feature_that_is_no_number_leave_the_cell_empty(scores) -> None:
    x, reference = logits(20, 1), logits(5, 1)
    assert "10 splits need at least 10 images" in scores("inception-score", x[:9], reference).missing["inception_score"]
    x[4, 4] = np.nan
    assert scores("inception-score", x, reference).missing["inception_score"] == "some features are not finite"
