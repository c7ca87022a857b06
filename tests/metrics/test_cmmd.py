"""CMMD against scikit-learn's kernel; the authors' package is not needed for so short a formula."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from dpbench.evaluation.stratified import stratified_part
from dpbench.metrics import cmmd
from dpbench.metrics.statistics import mmd

RELATIVE_ERROR = 1e-4


def embeddings(n: int, seed: int, shift: float = 0) -> np.ndarray:
    centre = np.repeat([shift, 1], 16)
    return (np.random.default_rng(seed).normal(size=(n, 32)) + centre).astype(np.float32)


def worked_out(x: np.ndarray, y: np.ndarray) -> float:
    x, y = (f.astype(np.float64) / np.linalg.norm(f.astype(np.float64), axis=1)[:, None] for f in (x, y))
    gamma = 1 / (2 * 10**2)
    return 1000 * (rbf_kernel(x, x, gamma).mean() + rbf_kernel(y, y, gamma).mean() - 2 * rbf_kernel(x, y, gamma).mean())


@pytest.mark.parametrize("shift", [0, 0.2, 2])
def test_is_the_distance_of_unit_vectors_by_the_published_kernel(shift: float, scores, monkeypatch) -> None:
    monkeypatch.setattr(mmd, "ROWS", 70)  # three blocks
    x, y = embeddings(150, 1, shift), embeddings(200, 2)
    found = scores("cmmd", 5 * x, y)  # lengths do not count
    assert found.values["cmmd"] == pytest.approx(worked_out(x, y), rel=RELATIVE_ERROR)
    assert found.protocol["cmmd"]["metric"] == "v2, at most 10000 images"


def test_the_interval_is_how_far_fresh_images_move_it(scores) -> None:
    y = embeddings(300, 0)
    found = [scores("cmmd", embeddings(150, seed, 0.5), y) for seed in range(1, 31)]
    spread = np.std([s.values["cmmd"] for s in found])
    assert 1.96 * spread == pytest.approx(np.mean([s.ci95["cmmd"] for s in found]), rel=0.35)


def test_of_many_images_a_random_part_is_compared(scores, monkeypatch) -> None:
    monkeypatch.setattr(cmmd, "MOST", 50)
    x, y = embeddings(150, 1, 1), embeddings(100, 2)
    parts = (z[stratified_part(None, len(z), 50)] for z in (x, y))
    assert scores("cmmd", x, y).values["cmmd"] == pytest.approx(worked_out(*parts), rel=RELATIVE_ERROR)


@pytest.mark.parametrize("wrong", [np.nan, 0])
def test_embeddings_without_a_direction_leave_the_cell_empty(wrong: float, scores) -> None:
    x = embeddings(20, 1)
    x[3] = wrong
    assert scores("cmmd", x, embeddings(30, 2)).missing["cmmd"] == "some features are not finite"
