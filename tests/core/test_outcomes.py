"""Intervals over images and runs, and comparisons over the same images, against simulations with known variances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import t

from dpbench.core.errors import DataError
from dpbench.core.outcomes import FEWEST, Measured, Packed, significantly_better

IMAGES, DRAWS = 400, 300


def trained(rng, groups: int, runs: int, of_run: float, images: np.ndarray, mean: float = 1.0) -> Measured:
    """A stand-in for classifiers: right where a mean, an image's ease, a run's luck and chance add up above 0."""
    luck = rng.normal(0, of_run, (groups, runs, 1)) if of_run else 0
    return Measured(mean + images + luck + rng.normal(0, 1, (groups, runs, len(images))) > 0)


@pytest.mark.parametrize(("groups", "runs"), [(1, 3), (3, 3)])
@pytest.mark.parametrize("of_run", [0, 0.05, 0.1])
def test_the_interval_covers_the_truth_in_95_of_100_draws_of_images_and_runs(groups, runs, of_run) -> None:
    rng = np.random.default_rng(0)
    truth = ndtr(1 / math.sqrt(2 + of_run**2))
    found = [trained(rng, groups, runs, of_run, rng.normal(0, 1, IMAGES)).estimate() for _ in range(DRAWS)]
    covered = np.mean([abs(value - truth) <= half for value, half in found])
    assert covered == pytest.approx(0.95, abs=0.035)


@pytest.mark.parametrize("of_run", [0, 0.05, 0.1])
def test_equals_differ_significantly_in_at_most_5_of_100_comparisons(of_run) -> None:
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(DRAWS):
        images = rng.normal(0, 1, IMAGES)
        wrong += significantly_better([trained(rng, 3, 3, of_run, images) for _ in range(2)]).any()
    assert wrong / DRAWS <= 0.05 + 0.025


def test_a_difference_that_no_interval_shows_is_found_on_the_same_images() -> None:
    rng = np.random.default_rng(2)
    images = rng.normal(0, 3, 2000)
    low, high = (trained(rng, 3, 3, 0, images, mean) for mean in (0.9, 1.1))
    assert low.estimate().value + low.estimate().ci95 > high.estimate().value - high.estimate().ci95
    assert significantly_better([low, high]).tolist() == [[False, False], [True, False]]


def test_runs_that_differ_make_a_difference_insignificant() -> None:
    one = np.ones((1, 3, 1000), dtype=bool)
    other = one.copy()
    other[0, 0, :100] = False  # one of three runs fails on a tenth of the images
    assert not significantly_better([Measured(one), Measured(other)]).any()
    other[0, :, :100] = False
    assert significantly_better([Measured(one), Measured(other)]).tolist() == [[False, True], [False, False]]


def test_without_differences_between_images_the_interval_is_student_t_over_runs() -> None:
    values = np.array([0.8, 0.9, 0.85])
    value, half = Measured(np.repeat(values[None, :, None], 50, axis=2)).estimate()
    assert value == pytest.approx(0.85)
    assert half == pytest.approx(t.ppf(0.975, 2) * values.std(ddof=1) / math.sqrt(3))


def test_a_single_run_has_the_interval_over_images() -> None:
    right = np.random.default_rng(0).random((1, 1, 500)) < 0.8
    value, half = Measured(right).estimate()
    assert value == right.mean()
    assert half == pytest.approx(t.ppf(0.975, 499) * right.std(ddof=1) / math.sqrt(500))


def test_few_images_have_no_interval_and_no_significant_difference() -> None:
    few = [Measured(np.full((1, 2, FEWEST - 1), right)) for right in (True, False)]
    assert math.isnan(few[0].estimate().ci95)
    assert not significantly_better(few).any()


def test_all_right_has_an_interval_of_width_zero() -> None:
    assert Measured(np.ones((3, 3, 10), dtype=bool)).estimate() == (1.0, 0.0)


def test_outcomes_are_packed_without_loss() -> None:
    right = np.random.default_rng(0).random((3, 2, 37)) < 0.7
    packed = Packed.of(right)
    assert np.array_equal(packed.unpacked(), right)
    assert packed.shape == (3, 2, 37)
    for damaged in (Packed((3, 2, 3700), packed.bits), Packed(packed.shape, packed.bits[4:])):
        with pytest.raises(DataError, match="damaged"):
            damaged.unpacked()
