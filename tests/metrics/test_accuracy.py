from __future__ import annotations

import pytest
import torch

from dpbench.metrics import recipe
from dpbench.metrics.accuracy import DownstreamAccuracy
from dpbench.metrics.evaluator import evaluate
from dpbench.models.classifiers import CLASSIFIERS

COLUMNS = [column.name for column in DownstreamAccuracy.columns]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch) -> None:
    monkeypatch.setattr(recipe, "STEPS", 40)
    monkeypatch.setattr(recipe, "BATCH", 32)


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
    each = [scores.values[f"accuracy_{name}"] for name in CLASSIFIERS]
    assert scores.values["accuracy"] == pytest.approx(sum(each) / len(each))
    assert scores.protocol["classifiers"] == "cnn+resnet v1"


def test_shuffled_labels_teach_nothing(make_images, run) -> None:
    (images, labels), (others, truth) = stripes(200, 0), stripes(800, 1)
    order = torch.Generator().manual_seed(0)
    labels, truth = (t[torch.randperm(len(t), generator=order)] for t in (labels, truth))
    scores = evaluate(["accuracy"], make_images(images, labels, 4), make_images(others, truth, 4), run)
    assert scores.values["accuracy"] == pytest.approx(0.25, abs=0.06)


def test_is_repeatable_and_independent_of_what_else_is_measured(make_images, run) -> None:
    synthetic, reference = make_images(*stripes(90, 0), 4), make_images(*stripes(90, 1), 4)
    state = torch.get_rng_state()
    first = evaluate(["accuracy"], synthetic, reference, run)
    torch.rand(3, generator=run.generator)
    second = evaluate(["fwd", "accuracy"], synthetic, reference, run)
    assert [first.values[c] for c in COLUMNS] == [second.values[c] for c in COLUMNS]
    assert torch.equal(torch.get_rng_state(), state)


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


def test_one_image_is_enough_to_train_on(make_images, run) -> None:
    (x, y), reference = stripes(8, 0), make_images(*stripes(8, 1), 4)
    scores = evaluate(["accuracy"], make_images(x[:1], y[:1], 4), reference, run)
    assert scores.values["accuracy"] == pytest.approx(0.25)


def test_the_reference_is_read_once_to_check_and_once_per_classifier(make_images, run) -> None:
    reference = make_images(*stripes(50, 1), 4)
    evaluate(["accuracy"], make_images(*stripes(50, 0), 4), reference, run)
    assert sorted(reference.asked) == sorted([*range(50)] * (1 + len(CLASSIFIERS)))


def test_every_image_comes_once_before_any_comes_again() -> None:
    indices = [i for batch in recipe._batches(70, torch.Generator().manual_seed(0)) for i in batch]
    assert len(indices) == 40 * 32
    for start in range(0, len(indices) - 70, 70):
        assert sorted(indices[start : start + 70]) == list(range(70))


def test_the_learning_rate_rises_and_ends_near_zero() -> None:
    rates = [recipe._rate(step) for step in range(recipe.STEPS)]
    assert max(rates) == pytest.approx(1)
    assert rates[0] < 0.2
    assert rates[-1] < 0.01


def test_a_shift_moves_whole_images_and_repeats_edges() -> None:
    image = torch.arange(36, dtype=torch.uint8).reshape(1, 1, 6, 6).expand(50, 2, 6, 6)
    shifted = recipe.random_shift(image, 2, torch.Generator().manual_seed(0))
    assert shifted.dtype == torch.uint8
    seen = set()
    for moved in shifted:
        assert torch.equal(moved[0], moved[1])
        row, column = (int(moved[0, 3, 3]) // 6 - 3, int(moved[0, 3, 3]) % 6 - 3)
        rows, columns = ((torch.arange(6) + k).clamp(0, 5) for k in (row, column))
        assert torch.equal(moved[0], image[0, 0][rows][:, columns])
        seen.add((row, column))
    assert {row for row, _ in seen} == {column for _, column in seen} == {-2, -1, 0, 1, 2}
