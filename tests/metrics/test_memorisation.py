from __future__ import annotations

import numpy as np
import pytest
import torch

from dpbench.evaluation.evaluator import evaluate, evaluate_real
from dpbench.evaluation.stratified import stratified_order, stratified_part
from dpbench.metrics import memorisation
from dpbench.metrics.memorisation import Memorisation
from dpbench.metrics.statistics import pixel_vectors
from dpbench.metrics.statistics.pixel_vectors import PixelVectors

CHANCE = {"membership": 0, "membership_auc": 0.5, "nn_ratio": 1}


def blobs(n: int, seed: int, channels: int = 1) -> torch.Tensor:
    """Images with few degrees of freedom, so that neighbours are near: uint8 [n, c, 32, 32]."""
    coarse = torch.rand(n, channels, 2, 2, generator=torch.Generator().manual_seed(seed))
    images = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    return (255 * images).round().to(torch.uint8)


@pytest.fixture
def scored(make_images, run):
    """scored(synthetic, train, test) -> Scores, of image tensors."""

    def score(synthetic, train, test):
        return evaluate(["memorisation"], make_images(synthetic), make_images(test), run, make_images(train))

    return score


def test_a_generator_that_copies_train_is_caught_by_all_columns(scored) -> None:
    train = blobs(300, 0)
    scores = scored(train[torch.randperm(300)], train, blobs(300, 1))
    assert scores.values["membership"] > 0.95
    assert scores.values["membership_auc"] > 0.99
    assert scores.values["nn_ratio"] < 1e-4
    assert scores.values["authenticity"] == 0
    assert "memorisation: 300 of the 300 synthetic images compared are copies of train images" in scores.caveats


def test_a_generator_that_alters_its_copies_a_little_is_caught_too(scored) -> None:
    train = blobs(300, 0)
    noise = torch.randint(0, 3, train.shape, generator=torch.Generator().manual_seed(5))
    scores = scored((train.int() + noise).clamp(0, 255).to(torch.uint8), train, blobs(300, 1))
    assert scores.values["membership"] > 0.9
    assert scores.values["nn_ratio"] < 0.5
    assert scores.values["authenticity"] < 0.05
    assert not scores.caveats


def test_independent_draws_are_at_chance(scored) -> None:
    scores = scored(blobs(1000, 0), blobs(2000, 1), blobs(1000, 2))
    for column, chance in CHANCE.items():
        assert abs(scores.values[column] - chance) < 2 * scores.ci95[column]
    again = scored(blobs(1000, 3), blobs(2000, 4), blobs(1000, 5))  # its chance level is that of the data
    assert abs(scores.values["authenticity"] - again.values["authenticity"]) < 1.5 * scores.ci95["authenticity"]
    assert 0.2 < scores.values["authenticity"] < 0.8
    assert not scores.caveats


def test_the_real_row_is_at_chance(make_images, run) -> None:
    scores = evaluate_real(["memorisation"], make_images(blobs(2000, 1)), make_images(blobs(1000, 2)), run)
    assert scores.protocol["n_samples"] == scores.protocol["n_reference"] == 500
    for column, chance in CHANCE.items():
        assert abs(scores.values[column] - chance) < 2 * scores.ci95[column]


def test_copies_of_held_out_images_look_like_the_opposite_of_memorisation(scored) -> None:
    train, test = blobs(300, 0), blobs(300, 1)
    values = scored(torch.cat([test, blobs(300, 2)]), train, test).values
    assert values["membership"] == pytest.approx(0, abs=0.05)
    assert values["membership_auc"] < 0.05
    assert values["nn_ratio"] > 1.5


def test_one_copied_train_image_is_found_wherever_it_stands(scored, monkeypatch) -> None:
    """All of train takes part, however much larger than the reference it is, and whatever does not fill a part."""
    monkeypatch.setattr(memorisation, "PARTS", 3)
    train = blobs(517, 0)
    for place in (0, 1, 258, 515, 516):
        scores = scored(torch.cat([blobs(39, 1), train[place : place + 1]]), train, blobs(100, 2))
        assert "memorisation: 1 of the 40 synthetic images compared are copies of train images" in scores.caveats


def test_copies_of_one_part_in_three_count_a_third(scored) -> None:
    train = blobs(900, 0)
    values = scored(train[torch.randperm(900)], train, blobs(300, 1)).values
    assert values["nn_ratio"] == pytest.approx(2 / 3, abs=0.05)
    assert values["authenticity"] == 0


def test_copies_of_train_images_that_come_twice_are_not_authentic(scored) -> None:
    train = blobs(100, 0)
    assert scored(train, torch.cat([train, train]), blobs(100, 1)).values["authenticity"] == 0


def test_values_are_those_of_pixel_distances(scored, monkeypatch) -> None:
    monkeypatch.setattr(memorisation, "COMPARED", 20)
    x, train, test = blobs(40, 0, 3), blobs(60, 1, 3), blobs(30, 2, 3)
    s, a, b = (images.flatten(1).numpy() / 255.0 for images in (x[stratified_part(None, 40, 20)], train, test))
    to_train, to_test, within = (np.linalg.norm(p[:, None] - q, axis=2) for p, q in ((s, a), (s, b), (a, a)))
    np.fill_diagonal(within, np.inf)
    parts = [to_train[:, half].min(1) for half in np.split(stratified_order(None, 60), 2)]
    values = scored(x, train, test).values
    assert values["nn_ratio"] == pytest.approx(np.mean(parts) / to_test.min(1).mean(), rel=1e-4)
    assert values["authenticity"] == pytest.approx((to_train.min(1) > within.min(1)[to_train.argmin(1)]).mean())


@pytest.mark.parametrize(("size", "compared"), [(28, 28), (64, 32), (48, 24)])
def test_large_images_are_compared_by_block_means(evaluation, monkeypatch, size: int, compared: int) -> None:
    images = torch.randint(0, 256, (10, 1, size, size), dtype=torch.uint8)
    shared = evaluation(images[:5], images[5:])
    features, _ = shared.features("wavelet-packet")
    ours = PixelVectors(features, size, memorisation.SIZE, memorisation.PARTS)
    means = torch.nn.functional.avg_pool2d(images[:5].double() / 255, size // compared).flatten(1)
    expected = torch.cdist(means, means) * (size // compared)
    found = ours.at_most(5)
    assert found.shape == (5, compared * compared)
    np.testing.assert_allclose(np.linalg.norm(found[:, None] - found, axis=2), expected, rtol=1e-4, atol=1e-3)
    monkeypatch.setattr(pixel_vectors, "BLOCK", 2)
    np.testing.assert_array_equal(np.concatenate(list(ours.blocks())), found)


def test_without_train_there_is_no_value(make_images, run) -> None:
    scores = evaluate(["memorisation"], make_images(blobs(9, 0)), make_images(blobs(9, 1)), run)
    assert set(scores.missing.values()) == {"the train split is not available"}
    assert Memorisation.reads_train  # so that rule R9 hides it for data that is no public benchmark


def test_two_real_images_of_either_kind_are_enough_and_one_is_not(scored) -> None:
    assert not scored(blobs(3, 0), blobs(2, 1), blobs(2, 2)).missing
    assert "at least 2" in scored(blobs(3, 0), blobs(2, 1), blobs(1, 2)).missing["membership"]
