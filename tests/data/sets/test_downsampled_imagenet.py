"""The downsampled ImageNet, from small batches in both published forms."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from dataset_layouts import declare, write_batches

from dpbench.core.errors import DataError
from dpbench.data.sets.downsampled_imagenet import ImageNet32, ImageNet64

SETS = pytest.mark.parametrize("plugin", [ImageNet32, ImageNet64])


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for plugin in (ImageNet32, ImageNet64):
        declare(plugin, monkeypatch, 30, 4)


@SETS
@pytest.mark.parametrize("packed", [False, True])
def test_batches_are_read_in_their_order(plugin, packed, options):
    files = write_batches(plugin, options.root, packed)
    dataset, side = plugin("", options), plugin.resolution
    for split, names in (
        (dataset.train(), [f"train_data_batch_{i}" for i in range(1, 11)]),
        (dataset.test(), ["val_data"]),
    ):
        data = np.concatenate([files[name]["data"] for name in names]).reshape(-1, 3, side, side)
        labels = np.concatenate([files[name]["labels"] for name in names]) - 1
        order = [3, 0, len(data) - 1, 3]
        batch = split.batch(order)
        assert np.array_equal(batch.images.numpy(), data[order])
        assert batch.labels.tolist() == labels[order].tolist()


def test_opened_again_labels_and_images_come_from_the_copy(options, monkeypatch):
    write_batches(ImageNet32, options.root)
    first = ImageNet32("", options).train().batch(range(30))
    monkeypatch.setattr("dpbench.data.image_batches.read_pickle", lambda *_: pytest.fail("read a batch"))
    again = ImageNet32("", options).train().batch(range(30))
    assert (first.images == again.images).all()
    assert (first.labels == again.labels).all()


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_damaged_copies_of_the_labels_are_made_again(content, options):
    """Regression test: `np.load` raised through every command that named the dataset."""
    write_batches(ImageNet32, options.root)
    first = ImageNet32("", options).train().batch(range(30))
    for path in options.cache.rglob("*-labels-*.npz"):
        path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    dataset = ImageNet32("", options)
    assert dataset.spec.n_train == 30
    assert (dataset.train().batch(range(30)).labels == first.labels).all()


def test_other_resolutions_are_resized(options):
    write_batches(ImageNet64, options.root)
    small = ImageNet64("", replace(options, resolution=32)).train()
    assert small.batch([0]).images.shape == (1, 3, 32, 32)
    assert small.fingerprint != ImageNet64("", options).train().fingerprint


def test_a_missing_batch_is_named(options):
    write_batches(ImageNet32, options.root)
    (options.root / "imagenet32" / "train_data_batch_7").unlink()
    with pytest.raises(DataError, match=r"train_data_batch_7 is missing: unpack Imagenet32_train.zip"):
        ImageNet32("", options).train()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no pickle", "cannot be read"),
        (pickle.dumps([1]), "it does not hold a dictionary"),
        (pickle.dumps({"data": np.zeros((2, 5), np.uint8), "labels": [1, 2]}), "data is uint8"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [0]}), "labels are 0 to 0, not 1 to 1000"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [1, 2]}), "not 1 integers"),
        (pickle.dumps({"labels": [1]}), "'data'"),
    ],
)
def test_a_damaged_batch_is_named(content, message, options):
    write_batches(ImageNet32, options.root)
    (options.root / "imagenet32" / "val_data").write_bytes(content)
    with pytest.raises(DataError, match=rf"val_data .*{message}.*unpack Imagenet32_train.zip") as caught:
        ImageNet32("", options).test()
    assert "\n" not in str(caught.value)


def test_labels_that_are_objects_are_refused(options):
    write_batches(ImageNet32, options.root, packed=True)
    data, labels = np.zeros((4, 3072), np.uint8), np.array([1, 2, 3, None], dtype=object)
    np.savez(options.root / "imagenet32" / "val_data.npz", data=data, labels=labels)
    with pytest.raises(DataError, match=r"val_data.npz cannot be read \(Object arrays cannot be loaded"):
        ImageNet32("", options).test()


def test_an_archive_whose_error_says_nothing_is_named(options, monkeypatch):
    def end(*_):
        raise EOFError  # as zipfile does where an archive ends too early

    write_batches(ImageNet32, options.root, packed=True)
    monkeypatch.setattr("zipfile.ZipExtFile.read", end)
    with pytest.raises(DataError, match=r"val_data.npz cannot be read \(EOFError\); unpack"):
        ImageNet32("", options).test()


@SETS
def test_another_number_of_records_is_that_of_the_files_with_a_warning(plugin, options, monkeypatch):
    write_batches(plugin, options.root)
    monkeypatch.setattr(plugin, "n_train", 1_281_167)
    dataset = plugin("", replace(options, resolution=16))
    with pytest.warns(UserWarning, match=f"^{plugin.name} has 30 train images, not the published 1,281,167$"):
        assert (dataset.spec.n_train, dataset.spec.n_test) == (30, 4)
    train = dataset.train()
    assert len(train) == train.spec.n_train == 30
    assert train.batch([29]).images.shape == (1, 3, 16, 16)


def test_the_declaration_needs_no_files(options):
    assert (ImageNet32("", options).spec.n_train, ImageNet32("", options).spec.n_test) == (30, 4)
    write_batches(ImageNet32, options.root)
    (options.root / "imagenet32" / "val_data").write_bytes(b"no pickle")  # reported where the split is opened
    assert ImageNet32("", options).spec.n_test == 4


def test_a_split_without_records_is_an_error(options):
    write_batches(ImageNet32, options.root)
    empty = pickle.dumps({"data": np.zeros((0, 3072), np.uint8), "labels": np.zeros(0, int)})
    (options.root / "imagenet32" / "val_data").write_bytes(empty)
    with pytest.raises(DataError, match="imagenet32 has no test images: unpack"):
        ImageNet32("", options).test()
