"""The classifier trained on real images: made once, honest about its train split, and kept from who may not see it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from short_recipes import shorten

from dpbench.core.errors import DataError, MissingScore
from dpbench.evaluation.caveats import collect_caveats
from dpbench.evaluation.evaluator import evaluate, evaluate_real
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.real_parts import never_scored, part_and_rest
from dpbench.metrics.classifiers import recipe
from dpbench.metrics.classifiers.real_classifier import real_classifier


@pytest.fixture(autouse=True)
def few_steps(monkeypatch) -> None:
    shorten(monkeypatch, 40)


@pytest.fixture
def stripes(make_images, noise):
    """stripes(n, seed, labels=None) -> images with a bright stripe whose place is the class, labelled as told."""

    def make(n: int, seed: int, labels: torch.Tensor | None = None, shown: torch.Tensor | None = None, name: str = ""):
        images = noise(n, size=28, seed=seed) // 2
        shown = torch.arange(n) % 4 if shown is None else shown
        for image, label in zip(images, shown.tolist(), strict=True):
            image[:, 4 + 6 * label : 7 + 6 * label] += 120
        return make_images(images, shown if labels is None else labels, 4, name)

    return make


@pytest.fixture
def taught(monkeypatch) -> list[int]:
    """The numbers of images that classifiers are trained on."""
    counts: list[int] = []

    def spying(model, images, *rest):
        counts.append(len(images))
        return teach(model, images, *rest)

    teach = recipe.train
    monkeypatch.setattr(recipe, "train", spying)
    return counts


def test_images_that_show_their_class_are_faithful_and_others_are_not(stripes, run) -> None:
    right = torch.arange(120) % 4
    asked = torch.where(torch.arange(120) < 30, (right + 1) % 4, right)  # a quarter shows another class
    test, train = stripes(80, 1), stripes(200, 2)
    scores = evaluate(["label-fidelity"], stripes(120, 0, asked, right), test, run, train)
    assert scores.values["label_fidelity"] == pytest.approx(0.75, abs=0.02)
    assert scores.ci95["label_fidelity"] == pytest.approx(1.96 * np.sqrt(0.75 * 0.25 / 120), rel=0.2)
    assert scores.protocol["label-fidelity"] == {"metric": "v2, vgg v3 on half of train"}
    assert not scores.caveats


def test_the_real_row_is_its_accuracy_on_real_images_that_it_has_not_seen(stripes, run, taught) -> None:
    scores = evaluate_real(["label-fidelity"], stripes(200, 2), stripes(81, 1), 60, run)
    assert scores.values["label_fidelity"] > 0.95
    assert taught == [100]


def test_one_classifier_judges_the_real_row_and_all_others(stripes, run, tmp_path, taught) -> None:
    train, test, kept = stripes(200, 2, name="train"), stripes(81, 1, name="test"), EvaluationCache(tmp_path / "real")
    evaluate(["label-fidelity"], stripes(60, 0), test, run, train, kept)
    for n_samples in (60, 80, 200):
        evaluate_real(["label-fidelity"], train, test, n_samples, run, kept)
    assert taught == [100]
    seen = never_scored(train).positions
    for n_samples in (60, 200):
        scored, rest = part_and_rest(train, n_samples)
        assert not set(seen) & set(scored.positions)
        assert np.array_equal(never_scored(rest).positions, seen)


def test_it_learns_from_train_alone(stripes, run, monkeypatch) -> None:
    synthetic, test, train = stripes(20, 0), stripes(20, 1), stripes(50, 2)
    taught = []

    def spying(model, images, *rest):
        before = len(synthetic.asked), len(test.asked)
        counts = teach(model, images, *rest)
        taught.append((len(images) == len(train) // 2, len(synthetic.asked) - before[0], len(test.asked) - before[1]))
        return counts

    teach = recipe.train
    monkeypatch.setattr(recipe, "train", spying)
    evaluate(["label-fidelity"], synthetic, test, run, train)
    assert taught == [(True, 0, 0)]


def test_it_is_trained_once_per_dataset(stripes, run, tmp_path, monkeypatch) -> None:
    sets, kept = (stripes(20, 0), stripes(20, 1), run), EvaluationCache(tmp_path / "real")
    train, same, another = stripes(50, 2, name="A"), stripes(50, 2, name="A"), stripes(50, 3, name="B")
    first = evaluate(["label-fidelity"], *sets, train, kept)
    second = evaluate(["label-fidelity"], *sets, same, kept)
    assert set(same.asked) == {0}  # a look for labels
    assert first.values == second.values
    evaluate(["label-fidelity"], *sets, another, kept)
    assert len(another.asked) > 50


def test_features_tell_the_classes_apart_and_come_with_their_origin(evaluation, stripes) -> None:
    train = stripes(200, 2, name="the train split")
    shared = evaluation(stripes(40, 0), stripes(40, 1), train)
    synthetic, reference = shared.features("classifier")
    assert synthetic.shape == (128,)
    assert shared.used_extractors == {"classifier": "classifier vgg v3 on half of train of the train split, [-1, 1]"}
    x, y = synthetic.at_most(40), reference.at_most(40)
    assert x.dtype == np.float32
    distances = ((x[:, None] - y[None]) ** 2).sum(2)
    assert (distances.argmin(1) % 4 == np.arange(40) % 4).mean() > 0.9
    trained_once = len(train.asked)
    shared.train_features("classifier")
    assert len(train.asked) == trained_once + 2 * 200  # labels, and images


def test_the_fingerprint_of_an_undeclared_dataset_stays_out_of_the_row(evaluation, stripes) -> None:
    sets = stripes(20, 0), stripes(20, 1), stripes(50, 2, name="the train split")
    for images in sets:
        images.spec = replace(images.spec, public_benchmark=False)
    assert "the train split" not in evaluation(*sets).extractor("classifier").description


def test_a_class_without_train_images_is_scored_and_mentioned(stripes, run) -> None:
    train = stripes(150, 2, shown=torch.arange(150) % 3)
    scores = evaluate(["label-fidelity"], stripes(80, 0), stripes(80, 1), run, train)
    assert scores.values["label_fidelity"] == pytest.approx(0.75, abs=0.05)
    assert scores.caveats == ("label-fidelity: the classifier was trained without images of 1 classes: c3",)


def test_the_caveat_comes_back_with_the_kept_classifier(evaluation, stripes) -> None:
    train = stripes(30, 2, shown=torch.arange(30) % 3)
    for _ in range(2):
        with collect_caveats() as caveats:
            real_classifier(evaluation(stripes(20, 0), stripes(20, 1), train))
        assert caveats == ["the classifier was trained without images of 1 classes: c3"]


def test_a_train_label_outside_the_classes_is_an_error(stripes, run) -> None:
    train = stripes(50, 2, labels=torch.arange(50) % 5)
    with pytest.raises(DataError, match="labels outside 0 to 3"):
        evaluate(["label-fidelity"], stripes(20, 0), stripes(20, 1), run, train)


def test_reasons_to_have_no_classifier(evaluation, make_images, noise, stripes, run) -> None:
    plain = [make_images(noise(8, size=28, seed=seed)) for seed in range(3)]
    one = [make_images(noise(8, size=28, seed=seed), torch.zeros(8, dtype=torch.int64), 1) for seed in range(3)]
    unlabelled = stripes(8, 0), stripes(8, 1), make_images(noise(8, size=28))
    reasons = {
        "the dataset has no classes": plain,
        "the dataset has only one class; a classifier needs at least two": one,
        "the train images have no labels": unlabelled,
        "the train split is not available": (stripes(8, 0), stripes(8, 1), None),
    }
    for reason, (synthetic, reference, train) in reasons.items():
        assert evaluate(["label-fidelity"], synthetic, reference, run, train).missing == {"label_fidelity": reason}
        with pytest.raises(MissingScore, match=reason):
            evaluation(synthetic, reference, train).features("classifier")


def test_two_images_are_enough(stripes, run, monkeypatch) -> None:
    shorten(monkeypatch, 2)
    scores = evaluate(["label-fidelity"], stripes(2, 0), stripes(2, 1), run, stripes(2, 2))
    assert 0 <= scores.values["label_fidelity"] <= 1
