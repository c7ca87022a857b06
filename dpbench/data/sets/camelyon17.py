"""Camelyon17 in the WILDS edition (Bándi et al. 2018, Koh et al. 2021): patches of tissue from five hospitals."""

from __future__ import annotations

import csv
from functools import cached_property
from typing import NamedTuple

from dpbench.data.declared import DeclaredDataset
from dpbench.data.published_files import PublishedDataset

COLUMNS = ("patient", "node", "x_coord", "y_coord", "tumor", "center", "split")
PART_OF_CENTER = {"1": "val", "2": "test"}
"""Hospital -> its part, whatever split the file gives; WILDS does the same."""


class Patch(NamedTuple):
    """One patch: its path, whether there is a tumor, and its part: "train", "id_val", "val" or "test"."""

    path: str
    label: int
    part: str


class Camelyon17(PublishedDataset, DeclaredDataset):
    """Patches of lymph nodes with and without tumor, 32×32 colour, 302,436 + 85,054 (WILDS)

    Reads `<root>/camelyon17/camelyon17_v1.0/`: `metadata.csv` and `patches/` (96×96). The splits are those of WILDS:
    train is split 0 of hospitals 0, 3 and 4, test is all of hospital 2. The label refers to the central 32×32 pixels;
    resizing keeps the tissue around them.
    """

    name = "camelyon17"
    n_train = 302_436
    n_test = 85_054
    classes = ("normal", "tumor")

    @property
    def _where(self) -> str:
        return f"unpack camelyon17_v1.0.tar.gz of WILDS into {self.folder}/camelyon17_v1.0"

    @cached_property
    def _patches(self) -> list[Patch]:
        path = self._needed("camelyon17_v1.0/metadata.csv", "metadata.csv")
        place = path.parent.relative_to(self.folder)
        head, *rows = csv.reader(self._lines(path)) if path.stat().st_size else [[]]
        if lacking := sorted({*COLUMNS} - {*head}):
            raise self._damaged(path, f"it has no column {', '.join(lacking)}")
        columns = [head.index(name) for name in COLUMNS]
        patches = []
        for number, row in enumerate(rows, start=2):
            try:
                patient, node, x, y, tumor, center, split = (row[column] for column in columns)
                label = ("0", "1").index(tumor)
            except (IndexError, ValueError) as error:
                raise self._damaged(path, f"line {number} is {','.join(row)[:80]!a}") from error
            folder = place / "patches" / f"patient_{patient}_node_{node}"
            file = f"patch_patient_{patient}_node_{node}_x_{x}_y_{y}.png"
            part = PART_OF_CENTER.get(center, "train" if split == "0" else "id_val")
            patches.append(Patch((folder / file).as_posix(), label, part))
        return patches

    def _list(self, train: bool) -> list[str]:
        return [patch.path for patch in self._part(train)]

    def _condition(self, train: bool) -> list[int]:
        return [patch.label for patch in self._part(train)]

    def _part(self, train: bool) -> list[Patch]:
        return [patch for patch in self._patches if patch.part == ("train" if train else "test")]
