from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dpbench.core.captions import decode_captions
from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset, Converted, Subset

SPEC = DatasetSpec("toy", 1, 4, n_train=6, n_test=2, classes=("a", "b"), public_benchmark=True)
IMAGES = np.arange(6 * 16, dtype=np.uint8).reshape(6, 1, 4, 4)
LABELS = np.array([0, 1, 0, 1, 1, 0])


@pytest.fixture
def toy() -> ArrayDataset:
    return ArrayDataset(SPEC, IMAGES, LABELS)


@pytest.mark.parametrize(
    "indices", [[4, 0, 4], (4, 0, 4), torch.tensor([4, 0, 4]), np.array([4, 0, 4]), np.array([4, 0, 4], dtype=np.uint8)]
)
def test_a_batch_keeps_the_order_of_any_kind_of_indices(toy, indices):
    batch = toy.batch(indices)
    assert batch.images.dtype == torch.uint8
    assert batch.labels.dtype == torch.int64
    assert torch.equal(batch.images, torch.from_numpy(IMAGES[[4, 0, 4]]))
    assert batch.labels.tolist() == [1, 0, 1]


def test_a_range_is_a_sequence_of_indices(toy):
    assert len(toy.batch(range(2, 5))) == 3


@pytest.mark.parametrize("empty", [[], torch.tensor([]), np.array([])])
def test_no_indices_give_an_empty_batch(toy, empty):
    for dataset in (toy, Subset(toy, [1, 2]), Converted(toy, SPEC, lambda images: images, "same")):
        batch = dataset.batch(empty)
        assert batch.images.shape == (0, 1, 4, 4)
        assert batch.labels.shape == (0,)


@pytest.mark.parametrize("indices", [[0.5], [True, False], np.array(["1"])])
def test_indices_that_are_no_numbers_of_records_are_refused(toy, indices):
    with pytest.raises(TypeError, match="must be integers"):
        toy.batch(indices)


def test_an_index_beyond_the_end_is_refused(toy):
    with pytest.raises(IndexError):
        toy.batch([6])


def test_a_batch_is_a_copy(toy):
    toy.batch([0]).images.fill_(9)
    assert torch.equal(toy.batch([0]).images, torch.from_numpy(IMAGES[:1]))


def test_a_dataset_without_classes_has_no_labels():
    plain = ArrayDataset(replace(SPEC, classes=None), IMAGES, None)
    assert plain.batch([1]).labels is None
    assert Subset(plain, [1]).batch([0]).labels is None


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype(np.float32), LABELS, "must be uint8"),
        (IMAGES[:, :, :3], LABELS, r"must be uint8 \[n, 1, 4, 4\], not uint8 \[6, 1, 3, 4\]"),
        (IMAGES, LABELS[:5], "6 images but 5 labels"),
        (IMAGES, LABELS + 1, r"labels outside \[0, 2\)"),
        (IMAGES, None, "if and only if it declares classes"),
    ],
)
def test_arrays_that_contradict_the_spec_are_refused(images, labels, message):
    with pytest.raises(DataError, match=message):
        ArrayDataset(SPEC, images, labels)


CAPTIONED = replace(SPEC, classes=None, caption_bytes=10)
TEXTS = ["a", "red", "", "é", "far too long a text", "b"]


def test_a_dataset_with_captions_pads_and_cuts_them():
    captioned = ArrayDataset(CAPTIONED, IMAGES, TEXTS)
    assert captioned.batch([5]).captions.tolist() == [[98, *[0] * 9]]
    assert decode_captions(captioned.batch([4, 1, 3]).captions) == ["far too lo", "red", "é"]
    assert decode_captions(Subset(captioned, [1, 0]).batch([1, 0]).captions) == ["a", "red"]


@pytest.mark.parametrize(
    ("condition", "message"), [(None, "and likewise captions"), (TEXTS[:5], "6 images but 5 captions")]
)
def test_captions_that_contradict_the_spec_are_refused(condition, message):
    with pytest.raises(DataError, match=message):
        ArrayDataset(CAPTIONED, IMAGES, condition)


def test_the_fingerprint_follows_captions():
    first = ArrayDataset(CAPTIONED, IMAGES, TEXTS).fingerprint
    assert ArrayDataset(CAPTIONED, IMAGES, TEXTS).fingerprint == first
    assert ArrayDataset(CAPTIONED, IMAGES, TEXTS[::-1]).fingerprint != first


def test_the_fingerprint_follows_content_order_and_labels(toy):
    assert ArrayDataset(SPEC, torch.from_numpy(IMAGES), torch.from_numpy(LABELS)).fingerprint == toy.fingerprint
    changed = IMAGES.copy()
    changed[5, 0, 3, 3] += 1
    others = [
        ArrayDataset(SPEC, changed, LABELS),
        ArrayDataset(SPEC, IMAGES[::-1], LABELS[::-1]),
        ArrayDataset(SPEC, IMAGES, LABELS[::-1]),
        Subset(toy, range(6)),
        Subset(toy, [0, 1]),
        Subset(toy, [1, 0]),
        Converted(toy, SPEC, lambda images: images, "one"),
        Converted(toy, SPEC, lambda images: images, "other"),
    ]
    assert len({toy.fingerprint, *(other.fingerprint for other in others)}) == len(others) + 1
    assert ArrayDataset(SPEC, IMAGES, LABELS, "given").fingerprint == "given"


def test_a_subset_counts_its_own_records(toy):
    part = Subset(toy, [5, 3, 1], replace(SPEC, n_train=3))
    assert (len(part), part.spec.n_train) == (3, 3)
    assert torch.equal(part.batch([2, 0]).images, toy.batch([1, 5]).images)
    assert Subset(part, [1]).batch([0]).labels.tolist() == [1]


def test_a_conversion_changes_images_only(toy):
    wide = Converted(toy, replace(SPEC, resolution=8), lambda images: images.repeat(1, 1, 2, 2), "tile")
    batch = wide.batch([1, 0])
    assert batch.images.shape == (2, 1, 8, 8)
    assert batch.labels.tolist() == [1, 0]
    assert len(wide) == 6
