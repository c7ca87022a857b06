"""The halves of the test split that the real row compares."""

from __future__ import annotations

import pytest
import torch

from dpbench.evaluation.halves import halves


def positions(half) -> list[int]:
    return half.batch(range(len(half))).images[:, 0, 0, 0].tolist()


def numbered(make_images, labels=None, count: int = 41):
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return make_images(images, labels, 0 if labels is None else int(labels.max()) + 1)


@pytest.mark.parametrize("labels", [torch.arange(41) % 2, torch.arange(41) // 7], ids=["alternating", "sorted"])
def test_both_halves_have_as_many_images_of_each_class(make_images, labels) -> None:
    counts = [half.batch(range(len(half))).labels.bincount() for half in halves(numbered(make_images, labels))]
    assert (counts[0] - counts[1]).abs().max() <= 1
    assert [int(count.sum()) for count in counts] == [21, 20]


@pytest.mark.parametrize("labels", [None, torch.arange(41) % 3], ids=["unlabelled", "labelled"])
def test_halves_are_the_same_each_time_and_have_every_image_once(make_images, labels) -> None:
    whole = numbered(make_images, labels)
    one, other = halves(whole)
    assert sorted(positions(one) + positions(other)) == list(range(41))
    assert [half.fingerprint for half in halves(whole)] == [one.fingerprint, other.fingerprint]
    assert one.fingerprint != other.fingerprint
    assert positions(one) != list(range(0, 41, 2))
