"""Precision and recall against torch-fidelity and scikit-learn, density and coverage against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch_fidelity.metric_prc
from image_fixtures import PIXELS
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from dpbench.evaluation.stratified import stratified_part
from dpbench.metrics import prdc
from dpbench.metrics.statistics import neighbours

NAMES = ("precision", "recall", "density", "coverage")


def features(n: int, seed: int, scale: float = 1, d: int = 8) -> np.ndarray:
    return (scale * np.random.default_rng(seed).normal(size=(n, d)) + 5).astype(np.float32)


def worked_out(x: np.ndarray, y: np.ndarray, k: int = 5) -> dict[str, float]:
    """By loops over images, from the two papers' formulas: [n, d] synthetic, [m, d] real."""

    def radius(i: int, points: np.ndarray) -> float:
        return sorted(np.linalg.norm(points[i] - p) for j, p in enumerate(points) if j != i)[k - 1]

    in_real = np.array([[np.linalg.norm(a - y[j]) <= radius(j, y) for j in range(len(y))] for a in x])
    in_synthetic = np.array([[np.linalg.norm(b - x[i]) <= radius(i, x) for i in range(len(x))] for b in y])
    return {
        "precision": in_real.any(1).mean(),
        "recall": in_synthetic.any(1).mean(),
        "density": in_real.sum() / (k * len(x)),
        "coverage": in_real.any(0).mean(),
    }


def test_values_are_those_of_the_definitions(scores, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "ROWS", 13)  # several blocks
    x, y = features(31, 0, 1.4), features(37, 1)
    found = scores("prdc", x, y)
    assert found.values == pytest.approx(worked_out(x.astype(float), y.astype(float)))
    assert found.protocol["prdc"] == {"metric": "v2, k=5, at most 10000 images of each set", "extractors": PIXELS}
    assert set(found.ci95) == set(NAMES)


def test_precision_and_recall_agree_with_torch_fidelity(scores) -> None:
    x, y = features(700, 0, 1.3), features(600, 1)
    theirs = torch_fidelity.metric_prc.calculate_precision_recall_full(
        torch.from_numpy(x).double(), torch.from_numpy(y).double(), neighborhood=5
    )
    found = scores("prdc", x, y).values
    assert (found["precision"], found["recall"]) == pytest.approx(theirs, rel=1e-4)
    assert 0.1 < found["recall"] < found["precision"] + 0.5


def test_density_and_coverage_agree_with_scikit_learns_neighbours(scores) -> None:
    x, y = features(700, 0, 1.3), features(600, 1)
    radii = NearestNeighbors(n_neighbors=6).fit(y).kneighbors(y)[0][:, 5]  # the first is the image itself
    inside = NearestNeighbors().fit(x)
    counts = np.array([len(inside.radius_neighbors(y[i : i + 1], radii[i])[1][0]) for i in range(len(y))])
    found = scores("prdc", x, y).values
    assert found["density"] == pytest.approx(counts.sum() / (5 * len(x)), rel=1e-4)
    assert found["coverage"] == pytest.approx((counts > 0).mean(), rel=1e-4)


def test_intervals_are_how_far_fresh_images_move_them(scores) -> None:
    y = features(200, 0, d=3)
    found = [scores("prdc", features(150, seed, 1.2, 3), y) for seed in range(1, 41)]
    for name in NAMES:
        spread = 1.96 * np.std([s.values[name] for s in found])
        claimed = np.mean([s.ci95[name] for s in found])
        widest = 1.4 if name in ("precision", "density") else 2
        assert 0.75 < claimed / spread < widest, name


@pytest.mark.parametrize(("name", "scale", "real_scale"), [("coverage", 2, 1), ("recall", 1, 2)])
def test_intervals_of_shares_count_the_real_images_that_one_image_alone_covers(
    scores, monkeypatch, name: str, scale: float, real_scale: float
) -> None:
    monkeypatch.setattr(neighbours, "ROWS", 13)  # several blocks
    x, y = features(150, 0, scale, 3), features(200, 1, real_scale, 3)
    radii = [np.sort(cdist(z, z), axis=1)[:, 5] for z in (x, y)]
    covers = cdist(x, y) <= (radii[0][:, None] if name == "recall" else radii[1])
    lost = (covers & (covers.sum(0) == 1)).sum(1) * len(x) / len(y)
    assert scores("prdc", x, y).ci95[name] == pytest.approx(1.96 * lost.std(ddof=1) / len(x) ** 0.5, rel=0.15)


def test_copies_of_real_images_are_inside_however_small_the_balls(scores) -> None:
    y = np.repeat(100 * features(20, 0, d=2048), 6, axis=0)  # every image has 5 duplicates: radius 0
    found = scores("prdc", y[::-1], y)
    assert [found.values[name] for name in NAMES] == pytest.approx([1, 1, 6 / 5, 1])
    assert found.caveats == (
        "prdc: 120 of 120 synthetic images have 5 duplicates: balls of radius 0",
        "prdc: 120 of 120 reference images have 5 duplicates: balls of radius 0",
    )


def test_constant_features_are_inside_only_where_they_are_the_same(scores) -> None:
    y = np.full((10, 4), 3.0)
    assert scores("prdc", np.full((12, 4), 3.0), y).values["precision"] == 1
    assert scores("prdc", np.full((12, 4), 4.0), y).values["precision"] == 0


def test_of_many_images_a_random_part_is_compared(scores, monkeypatch) -> None:
    monkeypatch.setattr(prdc, "MOST", 20)
    x, y = features(60, 0, 1.2), features(40, 1)
    parts = (z[stratified_part(None, len(z), 20)].astype(float) for z in (x, y))
    assert scores("prdc", x, y).values == pytest.approx(worked_out(*parts))


@pytest.mark.parametrize("few", [1, 5])
def test_no_more_images_than_neighbours_leave_the_cells_empty(few: int, scores) -> None:
    for x, y in ((features(few, 0), features(30, 1)), (features(30, 0), features(few, 1))):
        found = scores("prdc", x, y)
        assert found.missing == dict.fromkeys(
            NAMES, f"5 nearest neighbours need more than 5 images of either set, not {few}"
        )


def test_a_feature_that_is_no_number_leaves_the_cells_empty(scores) -> None:
    x = features(30, 0)
    x[7, 3] = np.nan
    assert scores("prdc", x, features(30, 1)).missing == dict.fromkeys(NAMES, "some features are not finite")


def test_the_classifiers_columns_are_the_same_numbers_and_a_frechet_distance(scores) -> None:
    x, y = features(50, 0, 1.2), features(60, 1)
    found = scores("classifier-prdc", x, y).values
    shares = scores("prdc", x, y).values
    assert {f"{name}_classifier": value for name, value in shares.items()}.items() <= found.items()
    assert found["fd_classifier"] == scores("fid", x, y).values["fid"]
    assert set(found) - {f"{name}_classifier" for name in NAMES} == {"fd_classifier", "fd_classifier_inf"}
