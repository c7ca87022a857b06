"""Made-up records: of the declared shape, with repeated labels, and of two kinds that differ."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dpbench.core.captions import decode_captions, encode_captions
from dpbench.core.specs import DatasetSpec
from dpbench.privacy.checks.probes import DISTINCT, FEW, Probes
from dpbench.privacy.derivation import Derivation


def spec(classes: int = 3) -> DatasetSpec:
    return DatasetSpec("test", 3, 8, 100, 10, tuple(map(str, range(classes))) or None, False)


@pytest.mark.parametrize("size", [1, 5, DISTINCT, 3 * DISTINCT + 1])
def test_probes_have_the_declared_shape_and_any_size(size):
    for batch in Probes.of(spec()).take(size):
        assert batch.images.shape == (size, 3, 8, 8)
        assert batch.images.dtype == torch.uint8
        assert batch.labels.dtype == torch.int64
        assert 0 <= batch.labels.min() <= batch.labels.max() < 3
    assert Probes.of(spec(0)).take(4)[0].labels is None


def test_ordinary_images_are_all_different_and_have_no_extreme_pixel():
    ordinary, _ = Probes.of(spec()).take(DISTINCT)
    assert 1 <= ordinary.images.min() <= ordinary.images.max() <= 254
    assert len(ordinary.images.flatten(1).unique(dim=0)) == DISTINCT


def test_those_that_take_their_places_are_flat_or_extreme_or_noise():
    _, other = Probes.of(spec()).take(8)
    images = other.images.flatten(1).long()
    assert images[0::4].unique().tolist() == [0]
    assert images[1::4].unique().tolist() == [255]
    assert images[2::4].sum(1).tolist() == [255, 255]
    assert images[3::4].unique().numel() > 100


def test_labels_repeat_however_many_classes_there_are():
    ordinary, other = Probes.of(spec(100)).take(DISTINCT)
    assert len(ordinary.labels.unique()) <= FEW
    assert len(other.labels.unique()) > 30


CAPTIONED = DatasetSpec("test", 3, 8, 100, 10, None, False, caption_bytes=20)


@pytest.mark.parametrize("size", [1, DISTINCT, 2 * DISTINCT + 1])
def test_captions_have_the_declared_length(size):
    for batch in Probes.of(CAPTIONED).take(size):
        assert batch.captions.shape == (size, 20)
        assert batch.captions.dtype == torch.uint8
        assert batch.labels is None


def test_ordinary_captions_repeat_and_the_others_are_empty_or_extreme_or_random():
    ordinary, other = (batch.captions for batch in Probes.of(CAPTIONED).take(DISTINCT))
    assert 1 < len(ordinary.unique(dim=0)) <= FEW
    assert (ordinary[:, 0] > 0).all()
    texts = decode_captions(other)
    assert set(texts[0::4]) == {""}
    assert set(texts[1::4]) == {10 * "é"}
    assert {len(text) for text in texts[2::4]} == {1}
    assert len({len(text) for text in texts[3::4]}) > 5
    assert encode_captions(texts, 20).equal(other)


def test_captions_of_a_byte_are_possible():
    for batch in Probes.of(replace(CAPTIONED, caption_bytes=1)).take(8):
        assert batch.captions.shape == (8, 1)


def test_derived_probes_are_what_the_closure_makes_of_them():
    probes = Probes.of(spec())
    halves = probes.derive(Derivation(lambda b: b.images.flatten(1)[:, :2], "cpu").of)
    for batch, derived in zip(probes.take(100), halves.take(100), strict=True):
        assert torch.equal(derived.derived, batch.images.flatten(1)[:, :2])
        assert torch.equal(derived.labels, batch.labels)
        assert derived.images is None
