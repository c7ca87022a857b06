"""Sheets of samples: white cells where a grid has no image of a condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from dpbench.core.captions import encode_captions
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.results.figures.sample_figure import Grid, sample_sheet

SIDE = 4


class Black(ImageDataset):
    """Three black images, all of the class with one number, or with one caption."""

    fingerprint = "x"

    def __init__(self, condition: int | str, channels: int):
        classes = None if isinstance(condition, str) else ("a", "b", "c")
        self.spec = DatasetSpec("d", channels, SIDE, 1, 1, classes, True, 0 if classes else 20)
        self.condition = condition

    def __len__(self) -> int:
        return 3

    def batch(self, indices: Sequence[int]) -> Batch:
        images = torch.zeros(len(indices), *self.spec.shape, dtype=torch.uint8)
        if isinstance(self.condition, str):
            return Batch(images, encode_captions([self.condition] * len(indices), 20))
        return Batch(images, torch.full((len(indices),), self.condition))


@pytest.mark.parametrize(("first", "second"), [(0, 2), ("a cat", "a dog")])
@pytest.mark.parametrize(("channels", "colours"), [(1, ()), (3, (3,))])
def test_grid_without_any_shown_condition_is_white(
    first: int | str, second: int | str, channels: int, colours: tuple[int, ...]
) -> None:
    grids = [Grid("one", Black(first, channels)), Grid("other", Black(second, channels))]
    pictures = [np.asarray(axes.images[0].get_array()) for axes in sample_sheet(grids, columns=2, rows=1).axes]
    assert [picture.shape for picture in pictures] == [(SIDE, 2 * SIDE, *colours)] * 2
    assert [np.unique(picture).tolist() for picture in pictures] == [[0], [255]]
