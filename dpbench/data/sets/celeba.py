"""CelebA (Liu et al. 2015): faces with forty attributes."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path

from dpbench.data.sets.downloading import download
from dpbench.data.sets.face_attributes import FaceDataset

PARTS = {True: "0", False: "2"}
"""Whether a split is train -> its number in the published partition; 1 is the validation split, which is not used."""


class CelebA(FaceDataset):
    """Faces, 32×32 colour, 162,770 + 19,962, by an attribute (celeba:Smiling, default Male) or celeba:captions

    Reads `<root>/celeba/`: `img_align_celeba/000001.jpg` (178×218, aligned), `list_attr_celeba.txt` and
    `list_eval_partition.txt`, as torchvision does. The splits are the published train and test.
    """

    name = "celeba"
    n_train = 162_770
    n_test = 19_962
    downloadable = True

    @property
    def _where(self) -> str:
        return f"put list_attr_celeba.txt, list_eval_partition.txt and the folder img_align_celeba into {self.folder}"

    @property
    def _table_file(self) -> Path:
        return self._needed("list_attr_celeba.txt")

    @cached_property
    def _partition(self) -> dict[str, list[str]]:
        """Number of a part -> the names of its files."""
        path = self._needed("list_eval_partition.txt")
        parts: dict[str, list[str]] = {"0": [], "1": [], "2": []}
        for number, line in enumerate(self._lines(path), start=1):
            match line.split():
                case [file, ("0" | "1" | "2") as part]:
                    parts[part].append(file)
                case [_, *_]:
                    raise self._damaged(path, f"line {number} must be a file name and 0, 1 or 2")
        return parts

    def _files(self, train: bool) -> list[str]:
        return self._partition[PARTS[train]]

    def _list(self, train: bool) -> list[str]:
        self._needed("img_align_celeba")
        return [f"img_align_celeba/{file}" for file in self._files(train)]

    def _download(self) -> None:
        from torchvision.datasets import CelebA as Reader

        if not (self.folder / "img_align_celeba").is_dir():
            archives = {self.folder / file: md5 for _, md5, file in Reader.file_list}
            download(self.name, partial(Reader, self.folder.parent, "all", download=True), archives, self._where)
