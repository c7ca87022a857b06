"""Features of real images are kept between evaluations, and are never taken for those of something else."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch

from dpbench.core.metric import Column, Extractor, Metric
from dpbench.core.registries import EXTRACTORS, METRICS
from dpbench.evaluation.evaluator import evaluate
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.features import Features
from dpbench.evaluation.image_part import ImagePart


class Weighted(Extractor):
    """The image's mean, times a weight."""

    weight: ClassVar[float] = 1.0
    resize: ClassVar[int] = 4
    calls: ClassVar[list[int]] = []

    def __init__(self, evaluation):
        super().__init__(evaluation)
        self.description = f"mean, weights {self.weight}, resized to {self.resize}"

    def __call__(self, images):
        self.calls.append(len(images))
        small = torch.nn.functional.adaptive_max_pool2d(images.float(), self.resize)
        return self.weight * small.mean((1, 2, 3), keepdim=True)[..., 0]


class Reference(Metric):
    """What the features of reference images sum up to."""

    columns: ClassVar = (Column("sum", "low", ""),)

    def compute(self, evaluation):
        return {"sum": sum(float(block.sum()) for block in evaluation.features("weighted")[1].blocks())}


class Train(Metric):
    """What the features of train sum up to."""

    columns: ClassVar = (Column("train_sum", "low", ""),)
    reads_train: ClassVar = True

    def compute(self, evaluation):
        return {"train_sum": sum(float(block.sum()) for block in evaluation.train_features("weighted").blocks())}


@pytest.fixture
def score(registries, monkeypatch, make_images, noise, run, tmp_path):
    """score(reference, train, keep=True) -> values, with the cache that all calls share, or with none."""
    METRICS.register("reference")(Reference)
    METRICS.register("train")(Train)
    EXTRACTORS.register("weighted")(Weighted)
    monkeypatch.setattr(Weighted, "calls", [])

    def value(reference, train=None, keep=True):
        x = make_images(noise(5, reference.spec.channels, reference.spec.resolution, seed=9))
        kept = EvaluationCache(tmp_path / "real") if keep else None
        return evaluate(["reference", "train"][: 1 + (train is not None)], x, reference, run, train, kept).values

    return value


def test_kept_features_are_not_computed_again(score, make_images, noise) -> None:
    test, train = make_images(noise(20), name="test"), make_images(noise(30, seed=1), name="train")
    first = score(test, train)
    assert Weighted.calls == [5, 20, 30]
    assert score(test, train) == first
    assert Weighted.calls == [5, 20, 30, 5]  # the synthetic images only


def test_labels_are_read_once_for_all_extractors(make_images, noise, run, evaluation) -> None:
    images, cache = make_images(noise(20, 1), torch.arange(20) % 4, 4), EvaluationCache(run.cache.folder / "real")
    extractor = Weighted(evaluation(images))
    found = [cache.features(name, extractor, images, run, "") for name in ("one", "other")]
    assert [features.labels.tolist() for features in found] == [[*range(4)] * 5] * 2
    assert len(images.asked) == 3 * 20


def test_only_the_part_that_is_used_is_extracted_unless_all_is_stored(make_images, noise, run, evaluation) -> None:
    images, cache = make_images(noise(40, 1), torch.arange(40) % 4, 4), EvaluationCache(run.cache.folder / "real")
    extractor = Weighted(evaluation(images))

    def extracted(most: int | None) -> tuple[Features, int]:
        Weighted.calls.clear()
        return cache.features("weighted", extractor, images, run, "", most), sum(Weighted.calls)

    part, count = extracted(8)
    assert (len(part), count) == (8, 8)
    assert np.bincount(part.labels).tolist() == [2] * 4
    assert extracted(8)[1] == 0
    whole, count = extracted(None)
    assert (len(whole), count) == (40, 40)
    np.testing.assert_array_equal(part.at_most(8), whole.at_most(8))
    again, count = extracted(9)
    assert (len(again), count) == (40, 0)


@pytest.mark.parametrize("batch", [3, 256])  # the part of four is read in two blocks, or in one
def test_features_of_a_part_are_taken_from_those_of_all(score, make_images, noise, monkeypatch, batch: int) -> None:
    monkeypatch.setattr(Weighted, "batch", batch)
    train = make_images(noise(40), name="train")
    part = ImagePart(train, np.array([3, 5, 6, 30]))
    test = make_images(noise(20, seed=1), name="test")
    expected = score(test, part, keep=False)
    score(test, train)
    Weighted.calls.clear()
    assert score(test, part)["train_sum"] == pytest.approx(expected["train_sum"])
    assert sum(Weighted.calls) == 5  # the synthetic images only


def test_features_of_another_split_or_dataset_are_not_taken(score, make_images, noise) -> None:
    """Alike in shape and number: the fingerprint alone tells them apart."""
    test, train = make_images(noise(20), name="mnist test"), make_images(noise(20, seed=1), name="mnist train")
    other = make_images(noise(20, seed=2), name="fashion test")
    for reference, private in ((test, train), (train, test), (other, train)):
        assert score(reference, private) == score(reference, private, keep=False)
    assert score(test, train)["sum"] == score(train, test)["train_sum"] != score(train, test)["sum"]


@pytest.mark.parametrize(("channels", "size", "count"), [(1, 28, 20), (3, 32, 20), (1, 32, 19)])
def test_features_of_another_shape_or_number_are_not_taken(score, make_images, noise, channels, size, count) -> None:
    """Even where a plugin's fingerprint forgets its resolution."""
    before = score(make_images(noise(20), name="faces"))
    other = make_images(noise(count, channels, size, seed=1), name="faces")
    assert score(other) == score(other, keep=False) != before


@pytest.mark.parametrize(("setting", "value"), [("weight", 2.0), ("resize", 8)])
def test_features_of_other_weights_or_another_resizing_are_not_taken(
    score, make_images, noise, monkeypatch, setting, value
) -> None:
    test = make_images(noise(20), name="test")
    before = score(test)
    monkeypatch.setattr(Weighted, setting, value)
    assert score(test) == score(test, keep=False) != before


def test_features_of_another_extractor_are_not_taken(score, make_images, noise, run, monkeypatch) -> None:
    """Even if it has the same description."""
    test = make_images(noise(20), name="test")
    score(test)
    EXTRACTORS.register("other")(type("Other", (Weighted,), {"weight": 7.0}))
    monkeypatch.setattr(Weighted, "__init__", lambda self, evaluation: setattr(self, "description", "same"))
    cache = EvaluationCache(run.cache.folder / "real")
    found = [
        next(cache.features(name, EXTRACTORS.get(name)(None), test, run, "").blocks()).sum()
        for name in ("weighted", "other")
    ]
    assert found[1] == pytest.approx(7 * found[0])


def test_features_of_other_code_are_not_taken(score, make_images, noise, monkeypatch) -> None:
    test = make_images(noise(20), name="test")
    score(test)
    monkeypatch.setattr("dpbench.evaluation.extraction.code_hash", lambda *objects: "of tomorrow")
    Weighted.calls.clear()
    score(test)
    assert Weighted.calls == [5, 20]


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:-40], lambda whole: b"no numpy" + whole])
def test_a_damaged_file_is_made_again(score, make_images, noise, tmp_path, damage) -> None:
    test = make_images(noise(20), name="test")
    before = score(test)
    (file,) = (tmp_path / "real").glob("*.npy")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert score(test) == before
    assert file.read_bytes() == whole


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:-40], lambda whole: b"no zip" * 9])
def test_a_damaged_file_of_what_is_derived_is_made_again(features, damage) -> None:
    found = features(torch.ones(4, 2).numpy())
    made = [found.derived("ones", lambda: {"sum": 4 * torch.ones(2).double().numpy()}) for _ in range(2)]
    (file,) = found.file.parent.glob("*.ones-*.npz")
    file.write_bytes(damage(file.read_bytes()))
    made += [found.derived("ones", lambda: {"sum": 4 * torch.ones(2).double().numpy()})]
    assert [m["sum"].tolist() for m in made] == [[4, 4]] * 3
