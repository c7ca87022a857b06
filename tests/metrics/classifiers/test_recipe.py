"""How classifiers are trained and tested: order, schedule, scale, averaging, labels."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from fp32_settings import settings, tf32_everywhere
from torch import Tensor, nn

from dpbench.core.errors import DataError
from dpbench.metrics.classifiers import dpimagebench, labelled, quick, recipe
from dpbench.metrics.classifiers.base import Classifier, build_classifier
from dpbench.metrics.classifiers.labelled import LabelledImages
from dpbench.models.precision import REDUCED

FEW = replace(quick.RECIPE, steps=lambda n: 6, batch=8)


class Spy(Classifier):
    """One linear layer that notes what it sees."""

    def __init__(self, classes: int = 4, dropout: float = 0.0):
        super().__init__()
        self.head = nn.Linear(3, classes)
        self.dropout = nn.Dropout(dropout)
        self.seen: list[tuple[bool, Tensor]] = []

    def features(self, x: Tensor) -> Tensor:
        self.seen.append((self.training, x))
        return self.dropout(torch.stack([x.mean((1, 2, 3)), x.amax((1, 2, 3)), x.amin((1, 2, 3))], dim=1))


def test_every_image_comes_once_before_any_comes_again() -> None:
    indices = torch.cat([*recipe._batches(70, 32, 40, torch.Generator().manual_seed(0))]).tolist()
    assert len(indices) == 40 * 32
    for start in range(0, len(indices) - 70, 70):
        assert sorted(indices[start : start + 70]) == list(range(70))


def test_the_quick_recipe_takes_longer_for_more_images() -> None:
    assert [quick.RECIPE.steps(n) for n in (10, 1000, 10_000, 60_000)] == [300, 300, 938, 5625]
    assert [quick.REAL_RECIPE.steps(n) for n in (10, 10_000, 60_000)] == [300, 938, 2500]


def test_the_quick_learning_rate_rises_and_ends_near_zero() -> None:
    rates = [quick.warmup_cosine((step + 0.5) / 500) for step in range(500)]
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert 0 < rates[0] < 0.2
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize(
    ("how", "epochs", "every", "batch"), [(dpimagebench.RECIPE, 50, 20, 256), (dpimagebench.CIFAR_RECIPE, 200, 60, 126)]
)
def test_published_recipes_drop_the_learning_rate_when_the_published_epochs_are_over(how, epochs, every, batch) -> None:
    assert how.steps(60_000) == pytest.approx(60_000 * epochs / batch, abs=1)
    middles = [how.rate((epoch + 0.5) / epochs) for epoch in range(epochs)]
    assert middles == pytest.approx([0.2 ** (epoch // every) for epoch in range(epochs)])


def test_training_and_testing_see_the_same_scale(make_images, run) -> None:
    pixels = torch.zeros(20, 1, 28, 28, dtype=torch.uint8)
    pixels[::2] = 255
    images, model = make_images(pixels, torch.arange(20) % 4, 4), Spy()
    recipe.train(model, LabelledImages(images), FEW, run, "")
    recipe.test(model, LabelledImages(images), "cpu")
    for training in (True, False):
        x = torch.cat([x for mode, x in model.seen if mode is training])
        assert x.dtype == torch.float32
        assert sorted(x.unique().tolist()) == [-1.0, 1.0]


def test_testing_changes_nothing_and_is_right_image_by_image(make_images, run) -> None:
    images = make_images(torch.randint(0, 256, (11, 1, 28, 28), dtype=torch.uint8), torch.arange(11) % 4, 4)
    model = build_classifier(quick.NETWORKS["cnn"], images.spec, run.generator)
    before = [p.clone() for p in model.parameters()]
    correct = recipe.test(model, LabelledImages(images), "cpu")
    assert all(map(torch.equal, before, model.parameters()))
    expected = [int(model(recipe.scaled(images.images[i : i + 1])).argmax()) == i % 4 for i in range(11)]
    assert correct.tolist() == expected


@pytest.mark.parametrize("wrong", [-1, 4])
def test_a_label_outside_the_classes_is_an_error_in_training_and_in_testing(
    make_images, noise, run, wrong, monkeypatch
) -> None:
    images = make_images(noise(8, size=28), torch.tensor([0, 1, 2, 3, 0, wrong, 2, 3]), 4, "mine")
    with pytest.raises(DataError, match="mine has labels outside 0 to 3"):
        LabelledImages(images)
    monkeypatch.setattr(labelled, "IN_MEMORY", 0)
    with pytest.raises(DataError, match="mine has labels outside 0 to 3"):
        recipe.train(Spy(), LabelledImages(images), FEW, run, "")
    with pytest.raises(DataError, match="mine has labels outside 0 to 3"):
        recipe.test(Spy(), LabelledImages(images), "cpu")


def test_training_counts_the_classes_that_it_met(make_images, noise, run) -> None:
    images = LabelledImages(make_images(noise(16, size=28), torch.tensor([0, 0, 3, 1] * 4), 4))
    assert recipe.train(Spy(), images, FEW, run, "").tolist() == [24, 12, 0, 12]  # 6 batches of 8 are 3 rounds


def test_dropout_follows_the_generator_of_the_run(make_images, noise, run) -> None:
    images = LabelledImages(make_images(noise(16, size=28), torch.arange(16) % 4, 4))
    start = Spy(dropout=0.5)

    def trained(seed: int) -> Tensor:
        model = copy.deepcopy(start)
        recipe.train(model, images, FEW, replace(run, generator=torch.Generator().manual_seed(seed)), "")
        return model.head.weight

    state = torch.get_rng_state()
    first = trained(0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    assert torch.equal(first, trained(0))
    assert not torch.equal(first, trained(1))


class Recording(torch.optim.SGD):
    """Notes the weights and the running mean after every step."""

    def __init__(self, model: Spy):
        super().__init__(model.parameters(), lr=0.1)
        self.model, self.weights = model, []

    def step(self) -> None:
        super().step()
        self.weights.append(self.model.head.weight.detach().clone())
        self.running_mean = self.model.norm.running_mean.clone()


def test_averaging_follows_its_formula_and_keeps_the_last_statistics(make_images, noise, run) -> None:
    model = Spy()
    model.norm = nn.BatchNorm2d(1)
    model.register_forward_pre_hook(lambda module, x: (model.norm(x[0]),))
    made = Recording(model)
    how = replace(FEW, ema_decay=0.3, optimizer=lambda parameters: made, rate=lambda t: 1.0)
    images = LabelledImages(make_images(noise(16, size=28), torch.arange(16) % 4, 4))
    recipe.train(model, images, how, run, "")
    first, *others = made.weights
    expected = first
    for k, weight in enumerate(others, start=1):
        decay = min(0.3, (2 + k) / (11 + k))  # 0.25, 0.31, ...: the second update and all later ones are at 0.3
        expected = decay * expected + (1 - decay) * weight
    assert len(others) == 5
    torch.testing.assert_close(model.head.weight, expected)
    assert not torch.allclose(expected, made.weights[-1], atol=1e-6)
    assert torch.equal(model.norm.running_mean, made.running_mean)


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


def test_repeatable_results_are_in_full_precision_where_the_calling_program_allows_tf32(run) -> None:
    with tf32_everywhere():
        before = settings()
        with recipe.repeatable(run.generator, torch.device("cpu")):
            seen = settings()
        assert settings() == before
    assert not {*seen} & {*REDUCED}
