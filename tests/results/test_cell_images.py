"""Pictures of a row's images: the same condition in the same cell, without selection."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from dpbench.core.captions import encode_captions
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.results.cell_images import LARGEST, conditions_of, picture_of

NAMES = ("cat", "dog", "bird")


class Shades(ImageDataset):
    """Image i has shade i + 1 and the label or caption that `order` repeats."""

    def __init__(self, order: Sequence[int], condition: str = "classes", side: int = 4, channels: int = 1):
        classes = NAMES if condition == "classes" else None
        self.spec = DatasetSpec("d", channels, side, 1, 1, classes, True, 20 if condition == "captions" else 0)
        self.order = order

    def __len__(self) -> int:
        return 30

    def batch(self, indices: Sequence[int]) -> Batch:
        images = torch.tensor([i + 1 for i in indices], dtype=torch.uint8)[:, None, None, None].expand(
            -1, *self.spec.shape
        )
        labels = [self.order[i % len(self.order)] for i in indices]
        if self.spec.caption_bytes:
            return Batch(images, encode_captions([f"a {NAMES[label]}\nanother" for label in labels], 20))
        return Batch(images, torch.tensor(labels) if self.spec.classes else None)

    @property
    def fingerprint(self) -> str:
        return "x"


def cells(images: ImageDataset, conditions: Sequence[str]) -> list[list[int]]:
    """The shade of each cell; 0 where there is no image."""
    made = picture_of(images, conditions)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(made["source"].partition(",")[2]))))
    side = made["side"]
    assert picture.shape[:2] == (made["rows"] * side, made["columns"] * side)
    blocks = picture[..., 0] if picture.ndim == 3 else picture
    return [[int(blocks[r * side, c * side]) for c in range(made["columns"])] for r in range(made["rows"])]


@pytest.mark.parametrize("condition", ["classes", "captions"])
def test_a_condition_has_the_same_row_in_every_picture(condition: str) -> None:
    first, second = Shades((2, 0, 1), condition), Shades((0, 1, 2), condition)
    conditions = list(NAMES) if condition == "classes" else ["a bird", "a cat", "a dog"]
    assert conditions_of(first) == conditions
    row = conditions.index("cat" if condition == "classes" else "a cat")
    assert cells(first, conditions)[row] == [2, 5, 8, 11, 14, 17]
    assert cells(second, conditions)[row] == [1, 4, 7, 10, 13, 16]


def test_a_condition_without_images_has_empty_cells() -> None:
    assert cells(Shades((0, 2)), NAMES)[1] == [0] * 6


def test_images_without_conditions_come_in_order() -> None:
    plain = Shades((0,), "none")
    assert conditions_of(plain) == []
    assert cells(plain, [])[1] == list(range(7, 13))
    assert cells(plain, NAMES)[2] == list(range(13, 19))


def test_large_images_are_fewer_and_smaller() -> None:
    made = picture_of(Shades((0, 1, 2), side=200, channels=3), NAMES)
    assert (made["side"], made["rows"], made["columns"]) == (LARGEST, 3, 6)
    assert picture_of(Shades((0,), "none", side=200), [])["columns"] == 2
