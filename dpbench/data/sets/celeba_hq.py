"""CelebA-HQ (Karras et al. 2018) in the edition of CelebAMask-HQ: faces with forty attributes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from dpbench.data.sets.face_attributes import FaceDataset
from dpbench.data.splits import split_by_hash

FOLDERS = ("CelebA-HQ-img", "CelebAMask-HQ/CelebA-HQ-img")
TABLES = ("CelebAMask-HQ-attribute-anno.txt", "CelebAMask-HQ/CelebAMask-HQ-attribute-anno.txt")


class CelebAHQ(FaceDataset):
    """Faces, 64×64 colour, 27,013 + 2,987, by an attribute (celeba-hq:Smiling, default Male) or captions

    Reads `<root>/celeba-hq/`: `CelebA-HQ-img/0.jpg` to `29999.jpg` and `CelebAMask-HQ-attribute-anno.txt`, or both in
    the folder `CelebAMask-HQ`. There is no published split: 10% of the images, chosen by the hash of the file name, are
    the test split.
    """

    name = "celeba-hq"
    resolution = 64
    n_train = 27_013
    n_test = 2_987

    @property
    def _where(self) -> str:
        return f"unpack CelebAMask-HQ.zip into {self.folder}"

    @property
    def _table_file(self) -> Path:
        return self._needed(*TABLES)

    @cached_property
    def _parts(self) -> dict[bool, list[str]]:
        train, test = split_by_hash(self._table.files, self.folder)
        return {True: train, False: test}

    def _files(self, train: bool) -> list[str]:
        return self._parts[train]

    def _list(self, train: bool) -> list[str]:
        place = self._needed(*FOLDERS).relative_to(self.folder).as_posix()
        return [f"{place}/{file}" for file in self._files(train)]
