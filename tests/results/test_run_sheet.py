"""The sheet of a whole run: every pixel of a group is where its class and its place in the data say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.results.run_sheet import MOST_COLUMNS, PLAIN_ROWS, WIDEST, Group, write_run_sheet
from dpbench.results.sample_grid import CELL, GAP, MOST_ROWS

NAMES = ("cat", "dog", "bird")


class Plain(ImageDataset):
    """Image i is a uniform square of shade i + 1; labels repeat `order`, or there are none."""

    def __init__(self, order: Sequence[int] = (2, 0, 1), classes: tuple[str, ...] | None = NAMES, side: int = 16):
        self.spec = DatasetSpec("d", 1, side, 1, 1, classes, True)
        self.order = order

    def __len__(self) -> int:
        return 60

    def batch(self, indices: Sequence[int]) -> Batch:
        shades = torch.tensor([i + 1 for i in indices], dtype=torch.uint8)
        labels = torch.tensor([self.order[i % len(self.order)] for i in indices])
        images = shades[:, None, None, None].expand(-1, *self.spec.shape)
        return Batch(images, labels if self.spec.classes else None)

    @property
    def fingerprint(self) -> str:
        return "x"


def shades(path: Path, groups: Sequence[Group], title: str = "t") -> list[list[int]]:
    """The shades of the squares in every row of squares, from left to right; checks that squares are whole."""
    write_run_sheet(path, groups, title)
    picture = np.asarray(Image.open(path).convert("RGB"))
    grey = np.where((picture == picture[..., :1]).all(-1), picture[..., 0], 255)
    side = groups[0].images.spec.resolution * max(1, round(CELL / groups[0].images.spec.resolution))
    rows = []
    y = 0
    while y < len(grey):
        starts = [x for x in range(grey.shape[1]) if 0 < grey[y, x] <= 60 and _is_square(grey, y, x, side)]
        if starts:
            rows.append([int(grey[y, x]) for x in starts])
            y += side
        y += 1
    return rows


def _is_square(grey: np.ndarray, y: int, x: int, side: int) -> bool:
    square = grey[y : y + side, x : x + side]
    alone = x == 0 or grey[y, x - 1] != grey[y, x]
    return alone and square.shape == (side, side) and bool((square == grey[y, x]).all())


def test_a_class_has_the_same_row_in_every_group(tmp_path: Path) -> None:
    real = Group("real images", "test split", Plain(), range(0, 60, 2))
    made = Group("m", "ε = 1", Plain(order=(0, 1, 2)), range(60))
    rows = shades(tmp_path / "a.png", [real, made])
    cats = [i + 1 for i in range(0, 60, 2) if i % 3 == 1][:MOST_COLUMNS], [1, 4, 7, 10, 13, 16]
    dogs = [i + 1 for i in range(0, 60, 2) if i % 3 == 2][:MOST_COLUMNS], [2, 5, 8, 11, 14, 17]
    birds = [i + 1 for i in range(0, 60, 2) if i % 3 == 0][:MOST_COLUMNS], [3, 6, 9, 12, 15, 18]
    assert rows == [[*a, *b] for a, b in (cats, dogs, birds)]


def test_a_class_without_images_has_an_empty_row(tmp_path: Path) -> None:
    rows = shades(tmp_path / "a.png", [Group("m", "ε = 1", Plain(order=(0, 2)), range(60))])
    assert [row[0] for row in rows] == [1, 2]
    height = Image.open(tmp_path / "a.png").height
    shades(tmp_path / "b.png", [Group("m", "ε = 1", Plain(), range(60))])
    assert height == Image.open(tmp_path / "b.png").height


def test_datasets_without_classes_have_grids(tmp_path: Path) -> None:
    rows = shades(tmp_path / "a.png", [Group("m", "ε = 1", Plain(classes=None), range(60))])
    assert rows == [list(range(1 + r * MOST_COLUMNS, 1 + (r + 1) * MOST_COLUMNS)) for r in range(PLAIN_ROWS)]


@pytest.mark.parametrize(("groups", "columns"), [(1, 6), (6, 3), (9, 2), (30, 2)])
def test_more_groups_show_fewer_images(tmp_path: Path, groups: int, columns: int) -> None:
    rows = shades(
        tmp_path / "a.png", [Group(f"m{i // 3}", f"ε = {i}", Plain(side=32), range(60)) for i in range(groups)]
    )
    assert [len(row) for row in rows] == [columns * groups] * 3
    assert Image.open(tmp_path / "a.png").width <= WIDEST or groups == 30


def test_many_classes_are_cut(tmp_path: Path) -> None:
    names = tuple(map(str, range(50)))
    group = Group("m", "ε = 1", Plain(order=range(50), classes=names), range(50))
    assert shades(tmp_path / "a.png", [group]) == [[i + 1] for i in range(MOST_ROWS)]


def test_long_names_wrap_above_their_groups(tmp_path: Path) -> None:
    group = Group("m", "ε = 1", Plain(), range(60))
    images = [shades(tmp_path / "short.png", [group] * 8)]
    images.append(shades(tmp_path / "long.png", [group] * 7 + [group._replace(method="a_setting=[1,2]," * 20)]))
    assert images[0] == images[1]
    short, long = Image.open(tmp_path / "short.png"), Image.open(tmp_path / "long.png")
    assert long.width == short.width
    assert long.height > short.height + 5 * GAP
