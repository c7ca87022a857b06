"""The order of images does not matter, however many there are: a part of a set is like the whole."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from short_recipes import shorten
from stand_ins import WEIGHTS, Blocks
from temporary import temporary
from torch.nn.functional import interpolate

from dpbench.contracts.small_evaluation import small_evaluation
from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import MissingScore
from dpbench.core.registries import EXTRACTORS, METRICS
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset, Subset
from dpbench.evaluation import extraction, features
from dpbench.evaluation.evaluator import evaluate
from dpbench.evaluation.scores import Scores
from dpbench.metrics import image_reward, memorisation
from dpbench.models.pretrained import finding

CLASSES = 4
SIZES = {"synthetic": 48, "reference": 45, "train": 60}
LIMIT = 12
"""What the limits on numbers of images become: every 4th synthetic image, all of one class if classes take turns."""
SHUFFLES = 5
DEVIATIONS = 6.0
"""Standard deviations over shuffled sets by which another order may differ from their mean."""

Order = Callable[[np.ndarray], np.ndarray]
"""Labels in turn -> the positions of the images in the order."""


def fields(count: int, seed: int) -> np.ndarray:
    """Smooth random fields whose brightness and contrast depend on the class, i % CLASSES: uint8 [count, 1, 32, 32]."""
    coarse = torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    fine = interpolate(coarse, size=(32, 32), mode="bicubic").numpy()
    level = (np.arange(count) % CLASSES)[:, None, None, None] / CLASSES
    return (255 * np.clip((level + 0.25) * fine / 2 + level / 2, 0, 1)).astype(np.uint8)


def ordered(images: np.ndarray, order: Order) -> ArrayDataset:
    labels = np.arange(len(images)) % CLASSES
    spec = DatasetSpec("fields", 1, 32, SIZES["train"], SIZES["reference"], tuple("abcd"), True)
    return ArrayDataset(spec, images[order(labels)], labels[order(labels)])


def made(metric: str, count: int, seed: int, order: Order) -> ImageDataset:
    """A set for a metric: fields with labels, or what its tiny settings name; then classes are positions alone."""
    images = tiny.entry(tiny.METRICS, metric).get("images")
    return (
        Subset(images(count, seed), order(np.arange(count) % CLASSES))
        if images
        else ordered(fields(count, seed), order)
    )


def in_turn(labels: np.ndarray) -> np.ndarray:
    return np.arange(len(labels))


def sorted_by_class(labels: np.ndarray) -> np.ndarray:
    return np.argsort(labels, kind="stable")


def shuffled(seed: int) -> Order:
    return lambda labels: np.random.default_rng([seed, len(labels)]).permutation(len(labels))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics use at most `LIMIT` images: whole numbers from 1,000 on in their modules are taken for limits."""
    modules = {METRICS.get(name).__module__ for name in METRICS.names()}
    for module in (sys.modules[name] for name in modules):
        for constant, value in list(vars(module).items()):
            if type(value) is int and value >= 1000:
                monkeypatch.setattr(module, constant, LIMIT)


@pytest.fixture(scope="module")
def without_weights(tmp_path_factory) -> list[str]:
    """The extractors whose weights are not there."""
    evaluation, missing = small_evaluation(tmp_path_factory.mktemp("extractors")), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finding, "places", lambda file: [])
        for name in (name for name in EXTRACTORS.names() if not EXTRACTORS.get(name).reads_train):
            try:
                EXTRACTORS.get(name)(evaluation)
            except MissingScore:
                missing.append(name)
    return missing


@pytest.fixture
def weights(metric, without_weights, publish, made, monkeypatch, weights_depend_on_settings_alone) -> Iterator[None]:
    """Random weights, or block means in place of an extractor; classifiers train for three steps."""
    shorten(monkeypatch, 3, batch=8)
    monkeypatch.setitem(image_reward.PROMPTS, "fields", tuple("abcd"))
    if metric in WEIGHTS:
        publish(WEIGHTS[metric], made(WEIGHTS[metric]))
    with temporary(EXTRACTORS, {name: Blocks for name in without_weights if name != WEIGHTS.get(metric)}):
        yield


def scored(metric: str, order: Order, folder: Path, seed: int = 0) -> Scores:
    sets = [made(metric, count, number, order) for number, count in enumerate(SIZES.values())]
    run = RunContext("cpu", torch.Generator().manual_seed(seed), PublicCache(folder))
    synthetic, reference, train = sets
    return evaluate([metric], synthetic, reference, run, train)


def check_order(metric: str, folder: Path) -> None:
    """Scores of images in turn and sorted by class differ from those of shuffled ones as these do among themselves."""
    found = {"in turn": scored(metric, in_turn, folder), "sorted": scored(metric, sorted_by_class, folder)}
    draws = [scored(metric, shuffled(0), folder)]
    assert not draws[0].missing
    if all(scores.values == pytest.approx(draws[0].values, rel=1e-3, abs=1e-6) for scores in found.values()):
        for name, scores in found.items():  # all images are used, and parts of them for intervals at most
            assert scores.ci95 == pytest.approx(draws[0].ci95, rel=0.5, abs=1e-6), name
        return
    draws += [scored(metric, shuffled(seed), folder, seed) for seed in range(1, SHUFFLES)]
    for column in draws[0].values:
        values = np.array([draw.values[column] for draw in draws])
        tolerance = 1e-3 * abs(values.mean()) + DEVIATIONS * values.std(ddof=1)
        for name, scores in found.items():
            assert scores.values[column] == pytest.approx(values.mean(), abs=tolerance), f"{column}, {name}"


@pytest.mark.parametrize("metric", METRICS.names())
def test_scores_do_not_depend_on_the_order_of_images(metric, quick_metrics, limits, weights, tmp_path) -> None:
    check_order(metric, tmp_path)


@pytest.mark.parametrize("metric", ["prdc", "fld"])
def test_every_kth_image_would_be_noticed(metric, quick_metrics, limits, weights, tmp_path, monkeypatch) -> None:
    for module in (features, extraction):
        monkeypatch.setattr(
            module, "stratified_part", lambda labels, n, most: np.arange(min(n, most)) * n // min(n, most)
        )
    with pytest.raises(AssertionError, match="in turn"):
        check_order(metric, tmp_path)


@pytest.mark.parametrize("order", [in_turn, sorted_by_class, shuffled(0)], ids=["in turn", "sorted", "shuffled"])
def test_copies_are_seen_wherever_they_stand(order, monkeypatch, tmp_path) -> None:
    """Nine of ten images copy train images: all but those of class 0, which are every tenth if classes take turns."""
    monkeypatch.setattr(memorisation, "MOST", 40)
    spec, labels = DatasetSpec("fields", 1, 32, 400, 400, tuple("abcdefghij"), True), np.arange(400) % 10
    train, test, fresh = (fields(400, seed) for seed in (1, 2, 3))
    copied, rows = np.where((labels > 0)[:, None, None, None], train, fresh), order(labels)
    sets = ((copied[rows], labels[rows]), (test, labels), (train, labels))
    synthetic, reference, private = (ArrayDataset(spec, images, of) for images, of in sets)
    run = RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path))
    scores = evaluate(["memorisation"], synthetic, reference, run, private)
    assert scores.values["copied"] == pytest.approx(0.9, abs=0.05)
    assert "memorisation: 36 of the 40 synthetic images compared are copies of train images" in scores.caveats
