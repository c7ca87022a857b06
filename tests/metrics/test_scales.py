from __future__ import annotations

import numpy as np
import pytest
import torch

from dpbench.evaluation.evaluator import evaluate
from dpbench.metrics.statistics import frechet
from dpbench.metrics.statistics.gaussians import fit
from dpbench.models.haar import wavedec2, waverec2


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    return frechet.transport(*(fit([a.reshape(len(a), 1, -1)]) for a in (x, y))).distance[0]


COLUMNS = ("fd_coarse", "fd_detail2", "fd_detail1")


def changed(images: torch.Tensor, part: int) -> torch.Tensor:
    """The images with the coefficients of one scale (0: LL, 1: level 2, 2: level 1) halved."""
    parts = wavedec2(images.float() - 128, 2)
    parts[part] = parts[part] / 2
    return (waverec2(parts) + 128).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_scale_reacts_to_what_changes_in_it_and_the_others_do_not(make_images, noise, run, part: int) -> None:
    x = noise(400)
    values = evaluate(["scales"], make_images(changed(x, part)), make_images(x), run).values
    distances = [values[column] for column in COLUMNS]
    others = [d for k, d in enumerate(distances) if k != part]
    assert distances[part] > 100 * max(others)


def test_blur_shows_in_the_detail_and_not_in_the_coarse_band(make_images, noise, run) -> None:
    x = noise(400)
    blurred = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(x.float(), 2), scale_factor=2)
    values = evaluate(["scales"], make_images(blurred.to(torch.uint8)), make_images(x), run).values
    assert values["fd_detail1"] > 100 * values["fd_coarse"]


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_values_are_those_of_the_haar_bands(make_images, noise, run, channels: int, size: int) -> None:
    x, y = noise(900, channels, size, 0), noise(800, channels, size, 1) // 2
    bands = zip(wavedec2(x.double() / 255, 2), wavedec2(y.double() / 255, 2), strict=True)
    (ll, ll_), (detail2, detail2_), (detail1, detail1_) = [(p.numpy(), q.numpy()) for p, q in bands]
    expected = [
        frechet_distance(ll, ll_),
        *(
            np.mean([frechet_distance(p[:, k], q[:, k]) for k in range(3)])
            for p, q in ((detail2, detail2_), (detail1, detail1_))
        ),
    ]
    values = evaluate(["scales"], make_images(x), make_images(y), run).values
    np.testing.assert_allclose([values[column] for column in COLUMNS], expected, rtol=1e-4)


def test_large_bands_are_split_so_that_dimensions_stay_bounded(make_images, noise, run) -> None:
    x, y = noise(520, 1, 64, 0), noise(520, 1, 64, 1)
    scores = evaluate(["scales"], make_images(x), make_images(y), run)
    assert not scores.caveats  # halves of 260 images suffice: no Gaussian has more than 16 x 16 dimensions
    assert all(scores.values[column] > 0 for column in COLUMNS)


def test_fewer_images_than_coefficients_come_with_a_caveat(make_images, noise, run) -> None:
    scores = evaluate(["scales"], make_images(noise(50, seed=0)), make_images(noise(300, seed=1)), run)
    assert scores.values["fd_detail1"] > 0
    assert any(text.startswith("scales: 50 images for a Gaussian of 256 features") for text in scores.caveats)


def test_one_level_is_not_enough(make_images, noise, run) -> None:
    x, y = noise(10, size=16), noise(10, size=16, seed=1)
    scores = evaluate(["fwd", "scales"], make_images(x), make_images(y), run)
    assert scores.values["fwd"] is not None
    assert [scores.values[column] for column in COLUMNS] == [None] * 3
    assert "at least 28" in scores.missing["fd_coarse"]


def test_intervals_are_how_far_fresh_images_move_the_values(make_images, noise, run) -> None:
    reference = make_images(noise(300, 1, 28, 0) // 2)
    found = [evaluate(["fwd", "scales"], make_images(noise(300, 1, 28, seed)), reference, run) for seed in range(1, 13)]
    for column in ("fwd", *COLUMNS):
        spread = 1.96 * np.std([scores.values[column] for scores in found])
        assert 0.7 < np.mean([scores.ci95[column] for scores in found]) / spread < 1.7, column
