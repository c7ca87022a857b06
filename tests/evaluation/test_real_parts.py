"""The part of a split that the real row scores, and the rest."""

from __future__ import annotations

import pytest
import torch

from dpbench.evaluation.real_parts import part_and_rest


def positions(images) -> list[int]:
    return images.batch(range(len(images))).images[:, 0, 0, 0].tolist()


def numbered(make_images, labels=None, count: int = 41):
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return make_images(images, labels, 0 if labels is None else int(labels.max()) + 1)


@pytest.mark.parametrize("labels", [torch.arange(41) % 4, torch.arange(41) // 11], ids=["alternating", "sorted"])
@pytest.mark.parametrize("most", [4, 12, 100])
def test_both_have_the_classes_in_the_proportions_of_the_whole(make_images, labels, most: int) -> None:
    found = part_and_rest(numbered(make_images, labels), most)
    share = min(most, 20) / 41
    for images, expected in zip(found, (share, 1 - share), strict=True):
        counts = images.batch(range(len(images))).labels.bincount(minlength=4)
        assert (counts - expected * labels.bincount()).abs().max() <= 1


@pytest.mark.parametrize("labels", [None, torch.arange(41) % 3], ids=["unlabelled", "labelled"])
@pytest.mark.parametrize(("most", "size"), [(7, 7), (20, 20), (41, 20)])
def test_every_image_is_in_one_of_them_and_the_same_each_time(make_images, labels, most: int, size: int) -> None:
    whole = numbered(make_images, labels)
    part, rest = part_and_rest(whole, most)
    assert len(part) == size
    assert sorted(positions(part) + positions(rest)) == list(range(41))
    assert [images.fingerprint for images in part_and_rest(whole, most)] == [part.fingerprint, rest.fingerprint]
    assert len({whole.fingerprint, part.fingerprint, rest.fingerprint}) == 3
    assert positions(part) != list(range(0, 2 * size, 2))
