"""What changes at random in training images."""

from __future__ import annotations

import pytest
import torch

from dpbench.metrics.classifiers import quick
from dpbench.metrics.classifiers.augmentation import GREY, Augmentation


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def image() -> torch.Tensor:
    """The same image 50 times, with two channels."""
    return torch.arange(36, dtype=torch.uint8).reshape(1, 1, 6, 6).expand(50, 2, 6, 6)


def test_a_shift_moves_whole_images_and_repeats_edges(image) -> None:
    shifted = Augmentation(shift=2)(image, generator())
    assert shifted.dtype == torch.uint8
    seen = set()
    for moved in shifted:
        assert torch.equal(moved[0], moved[1])
        row, column = (int(moved[0, 3, 3]) // 6 - 3, int(moved[0, 3, 3]) % 6 - 3)
        rows, columns = ((torch.arange(6) + k).clamp(0, 5) for k in (row, column))
        assert torch.equal(moved[0], image[0, 0][rows][:, columns])
        seen.add((row, column))
    assert {row for row, _ in seen} == {column for _, column in seen} == {-2, -1, 0, 1, 2}


def test_about_half_of_the_images_are_mirrored(image) -> None:
    mirrored = Augmentation(mirror=True)(image, generator())
    turned = [torch.equal(one, image[0].flip(2)) for one in mirrored]
    assert all(torch.equal(one, image[0]) for one, is_turned in zip(mirrored, turned, strict=True) if not is_turned)
    assert 15 < sum(turned) < 35


def test_cutout_greys_one_square_of_each_image_and_not_the_given_ones(image) -> None:
    white = torch.full((50, 2, 6, 6), 255, dtype=torch.uint8)
    cut = Augmentation(cutout=3)(white, generator())
    assert bool((white == 255).all())
    assert set(cut.unique().tolist()) == {GREY, 255}
    places = set()
    for one in cut:
        assert torch.equal(one[0], one[1])
        rows, columns = (torch.nonzero((one[0] == GREY).any(1 - axis)).flatten() for axis in (0, 1))
        assert int((one[0] == GREY).sum()) == len(rows) * len(columns)  # a rectangle, cut off at the border
        assert all(2 <= len(side) <= 3 and int(side[-1] - side[0]) == len(side) - 1 for side in (rows, columns))
        places.add((int(rows[0]), int(columns[0])))
    assert len(places) > 10


def test_nothing_changes_by_default(image) -> None:
    assert torch.equal(Augmentation()(image, generator()), image)


def test_grey_images_are_never_mirrored() -> None:
    assert not quick.RECIPE.augmentation[1].mirror
