"""EMNIST, from small files in its format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dataset_layouts import write_emnist

from dpbench.core.errors import DataError, UnknownName
from dpbench.data.opening import canonical_name, overlapping
from dpbench.data.sets.emnist import EDITIONS, EMNIST


@pytest.mark.parametrize("edition", EDITIONS)
def test_images_are_upright_and_labels_count_from_0(edition, options, monkeypatch):
    files = write_emnist(options.root, monkeypatch, edition)
    dataset = EMNIST(edition, replace(options, resolution=28))
    for split, name in ((dataset.train(), "train"), (dataset.test(), "test")):
        batch = split.batch(range(len(split)))
        assert np.array_equal(batch.images[:, 0].numpy(), files[f"{name}-images"].transpose(0, 2, 1))
        assert batch.labels.tolist() == (files[f"{name}-labels"] - EDITIONS[edition].first).tolist()


def test_images_are_padded_by_default(options, monkeypatch):
    files = write_emnist(options.root, monkeypatch)
    images = EMNIST("", options).train().batch([2]).images
    assert np.array_equal(images[0, 0, 2:-2, 2:-2].numpy(), files["train-images"][2].T)


@pytest.mark.parametrize(
    ("edition", "classes", "n_train"),
    [("letters", 26, 124_800), ("balanced", 47, 112_800), ("byclass", 62, 697_932), ("digits", 10, 240_000)],
)
def test_the_declaration_needs_no_files(edition, classes, n_train, options):
    spec = EMNIST(edition, options).spec
    assert (spec.n_classes, spec.n_train, spec.shape) == (classes, n_train, (1, 32, 32))


def test_class_names_are_those_of_the_reader(options):
    for edition in EDITIONS:
        published = EMNIST.reader().classes_split_dict[edition]
        assert list(EMNIST(edition, options).classes) == [name for name in published if name != "N/A"]


def test_letters_are_the_default(options):
    assert EMNIST("", options).spec.name == EMNIST("Letters", options).spec.name == canonical_name("emnist:letters")
    with pytest.raises(UnknownName, match="letters"):
        EMNIST("letter", options)


def test_missing_files_say_where_to_put_them(options):
    with pytest.raises(
        DataError, match=r"emnist-letters-train-images-idx3-ubyte is missing: put the four .*--download"
    ):
        EMNIST("", options).train()


def test_a_damaged_file_is_named(options, monkeypatch):
    write_emnist(options.root, monkeypatch)
    path = options.root / "emnist/EMNIST/raw/emnist-letters-test-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{path} is damaged"):
        EMNIST("", options).train()


def test_an_edition_of_another_count_is_read_with_a_warning(options, monkeypatch):
    files = write_emnist(options.root, monkeypatch)
    monkeypatch.setitem(EDITIONS, "letters", EDITIONS["letters"]._replace(n_train=88_800, n_test=14_800))
    dataset = EMNIST("", options)
    with pytest.warns(UserWarning, match="not the published") as caught:
        assert (dataset.spec.n_train, dataset.spec.n_test) == (12, 7)
    assert [str(warning.message) for warning in caught] == [
        "emnist has 12 train images, not the published 88,800",
        "emnist has 7 test images, not the published 14,800",
    ]
    assert np.array_equal(dataset.train().batch([11]).images[0, 0, 2:-2, 2:-2].numpy(), files["train-images"][11].T)


def test_digits_overlap_with_those_of_mnist_and_letters_do_not():
    digits = ("mnist", "emnist:digits", "emnist:mnist", "emnist:balanced", "emnist:byclass", "emnist:bymerge")
    assert all(overlapping("mnist", name) and overlapping(name, "holdout:mnist") for name in digits)
    assert not overlapping("mnist", "emnist")
    assert not overlapping("emnist:letters", "emnist:digits")
    assert overlapping("emnist", "emnist:balanced")
    assert not overlapping("mnist", "fashion-mnist")
