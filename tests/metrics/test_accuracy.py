from __future__ import annotations

import time
from threading import Lock

import numpy as np
import pytest
import torch
from short_recipes import shorten

from dpbench.evaluation.evaluator import evaluate, evaluate_real
from dpbench.metrics.accuracy import DownstreamAccuracy
from dpbench.metrics.classifiers import labelled, recipe
from dpbench.metrics.classifiers.versions import QUICK

COLUMNS = [column.name for column in DownstreamAccuracy.columns]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch) -> None:
    shorten(monkeypatch, 40)


@pytest.fixture
def hardly_any_steps(monkeypatch, few_steps) -> None:
    shorten(monkeypatch, 4, runs=2)


def stripes(n: int, seed: int, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with a bright stripe whose place is the class."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 120, (n, 1, 28, 28), generator=generator, dtype=torch.uint8)
    labels = torch.arange(n) % classes
    for image, label in zip(images, labels.tolist(), strict=True):
        image[:, 4 + 6 * label : 7 + 6 * label] += 120
    return images, labels


def test_learns_classes_that_can_be_told_apart(make_images, run) -> None:
    synthetic, reference = make_images(*stripes(200, 0), 4), make_images(*stripes(200, 1), 4)
    scores = evaluate(["accuracy"], synthetic, reference, run)
    assert min(scores.values.values()) > 0.95
    each = [scores.values[f"accuracy_{name}"] for name in QUICK]
    assert scores.values["accuracy"] == pytest.approx(sum(each) / len(each))
    assert scores.protocol["accuracy"] == {"metric": "v3, cnn+vgg+resnet"}


def test_shuffled_labels_teach_nothing(make_images, run) -> None:
    (images, labels), (others, truth) = stripes(200, 0), stripes(800, 1)
    order = torch.Generator().manual_seed(0)
    labels, truth = (t[torch.randperm(len(t), generator=order)] for t in (labels, truth))
    scores = evaluate(["accuracy"], make_images(images, labels, 4), make_images(others, truth, 4), run)
    assert scores.values["accuracy"] == pytest.approx(0.25, abs=0.06)


def test_is_repeatable_and_independent_of_what_else_is_measured(make_images, run, hardly_any_steps) -> None:
    synthetic, reference = make_images(*stripes(90, 0), 4), make_images(*stripes(90, 1), 4)
    state = torch.get_rng_state()
    first = evaluate(["accuracy"], synthetic, reference, run)
    torch.rand(3, generator=run.generator)
    second = evaluate(["fwd", "accuracy"], synthetic, reference, run)
    assert [first.values[c] for c in COLUMNS] == [second.values[c] for c in COLUMNS]
    assert torch.equal(torch.get_rng_state(), state)


class Alone:
    """A set of images that cannot be read by two threads at the same time."""

    def __init__(self, images):
        self.images, self.read, self.reading = images, 0, Lock()

    def __getattr__(self, name: str):
        return getattr(self.images, name)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices):
        assert self.reading.acquire(blocking=False), "read by two threads"
        time.sleep(1e-3)
        self.read += 1
        self.reading.release()
        return self.images.batch(indices)


def test_the_number_of_threads_changes_nothing(make_images, run, hardly_any_steps, monkeypatch) -> None:
    monkeypatch.setattr(labelled, "IN_MEMORY", 0)
    state, found = torch.get_rng_state(), []
    for threads in (1, 2):
        synthetic, reference = Alone(make_images(*stripes(90, 0), 4)), Alone(make_images(*stripes(90, 1), 4))
        with recipe.threads(threads):
            found.append(evaluate(["accuracy"], synthetic, reference, run))
            assert torch.get_num_threads() == threads
        assert synthetic.read >= 4 * 2 * len(QUICK)
        assert torch.equal(torch.get_rng_state(), state)
    assert found[0].values == found[1].values
    assert found[0].ci95 == found[1].ci95


def test_a_class_without_images_is_scored_and_mentioned(make_images, run) -> None:
    images, labels = stripes(200, 0)
    kept = labels != 2
    reference = make_images(*stripes(200, 1), 4)
    scores = evaluate(["accuracy"], make_images(images[kept], labels[kept], 4), reference, run)
    assert scores.values["accuracy"] == pytest.approx(0.75, abs=0.05)
    assert scores.caveats == ("no synthetic image of 1 classes: c2",)


def test_needs_classes_and_labels(make_images, run) -> None:
    (images, _), (others, labels) = stripes(20, 0), stripes(20, 1)
    no_classes = evaluate(["accuracy"], make_images(images), make_images(others), run)
    assert no_classes.missing == dict.fromkeys(COLUMNS, "the dataset has no classes")
    no_labels = evaluate(["accuracy"], make_images(images), make_images(others, labels, 4), run)
    assert no_labels.missing == dict.fromkeys(COLUMNS, "the synthetic images have no labels")


def test_one_image_is_enough_to_train_on(make_images, run, hardly_any_steps) -> None:
    (x, y), reference = stripes(8, 0), make_images(*stripes(8, 1), 4)
    scores = evaluate(["accuracy"], make_images(x[:1], y[:1], 4), reference, run)
    assert 0 <= scores.values["accuracy"] <= 1


class Logged:
    """Makes a set of images note in a common log when it is read."""

    def __init__(self, images, role: str, log: list):
        self.images, self.role, self.log = images, role, log

    def __getattr__(self, name: str):
        return getattr(self.images, name)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices):
        self.log.append((self.role, list(indices)))
        return self.images.batch(indices)


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_reference_is_read_after_the_last_step_of_all_classifiers(
    make_images, run, hardly_any_steps, monkeypatch, in_memory: bool
) -> None:
    if not in_memory:
        monkeypatch.setattr(labelled, "IN_MEMORY", 0)
    log: list[tuple[str, list[int]]] = []
    synthetic = Logged(make_images(*stripes(50, 0), 4), "train", log)
    reference = Logged(make_images(*stripes(50, 1), 4), "test", log)
    evaluate(["accuracy"], synthetic, reference, run)
    everything = [*range(50)]
    checks = [("train", everything), ("test", everything), ("train", [0])]
    assert log[: len(checks)] == checks
    trainings = 2 * len(QUICK)
    training = 1 if in_memory else 4 * trainings
    read = [role for role, _ in log[len(checks) :]]
    assert read == ["train"] * training + ["test"] * (1 if in_memory else trainings)
    assert all(indices == everything for role, indices in log if role == "test")


def test_in_the_real_row_train_teaches_and_test_examines(make_images, run, monkeypatch) -> None:
    train, test = make_images(*stripes(120, 0), 4), make_images(*stripes(50, 1), 4)
    taught = []

    def spying(model, images, *rest):
        before = len(test.asked)
        counts = teach(model, images, *rest)
        taught.append((len(images), int(counts.sum()), len(test.asked) - before))
        return counts

    teach = recipe.train
    monkeypatch.setattr(recipe, "train", spying)
    scores = evaluate_real(["accuracy"], train, test, 60, run)
    assert taught == [(60, 40 * 32, 0)] * len(QUICK)
    assert sorted(test.asked) == sorted([*range(50)] * 2)
    assert scores.values["accuracy"] > 0.9


def unsure(make_images) -> tuple:
    """Synthetic images of which a third has a wrong label, and a reference of 300 images."""
    images, labels = stripes(200, 0)
    wrong = torch.where(torch.arange(200) % 3 == 0, (labels + 1) % 4, labels)
    return make_images(images, wrong, 4), make_images(*stripes(300, 1), 4)


def test_intervals_are_over_test_images_and_runs(make_images, run, monkeypatch) -> None:
    shorten(monkeypatch, 15, runs=2)
    scores = evaluate(["accuracy"], *unsure(make_images), run)
    assert set(scores.ci95) == set(COLUMNS)
    for name in COLUMNS:
        outcomes = scores.outcomes[name].unpacked()
        assert outcomes.shape == (len(QUICK) if name == "accuracy" else 1, 2, 300)
        assert scores.values[name] == pytest.approx(outcomes.mean())
        over_images = 1.96 * outcomes.mean((0, 1)).std() / np.sqrt(300)
        assert scores.ci95[name] >= over_images
    assert np.ptp(scores.outcomes["accuracy"].unpacked().mean(2), axis=1).max() > 0  # runs differ


def test_a_classifier_that_is_trained_once_has_an_interval_over_images(make_images, run) -> None:
    scores = evaluate(["accuracy"], *unsure(make_images), run)
    for name in QUICK:
        p = scores.values[f"accuracy_{name}"]
        assert scores.ci95[f"accuracy_{name}"] == pytest.approx(1.97 * np.sqrt(p * (1 - p) / 299), abs=1e-3)


def test_one_class_is_no_task(make_images, run) -> None:
    images, labels = stripes(8, 0, classes=1)
    scores = evaluate(["accuracy"], make_images(images, labels, 1), make_images(*stripes(8, 1, 1), 1), run)
    assert scores.missing == dict.fromkeys(COLUMNS, "the dataset has only one class; a classifier needs at least two")


def test_two_images_are_scored(make_images, run, hardly_any_steps) -> None:
    synthetic, reference = make_images(*stripes(2, 0), 4), make_images(*stripes(2, 1), 4)
    assert 0 <= evaluate(["accuracy"], synthetic, reference, run).values["accuracy"] <= 1
