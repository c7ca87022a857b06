"""Omniglot (Lake, Salakhutdinov & Tenenbaum 2015): handwriting of many alphabets, a public source for MNIST."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data.declared import NamedDataset
from dpbench.data.image_files import FileSource, FolderSource
from dpbench.data.sets.downloading import download
from dpbench.data.splits import split_by_hash

if TYPE_CHECKING:
    from dpbench.data.decoded import DecodedDataset

TORCHVISION_FOLDER = Path("omniglot-py", "images_background")


class Omniglot(NamedDataset):
    """Handwritten characters of many alphabets, grey, white on black as MNIST; classes are characters

    Reads `<root>/omniglot/<alphabet>/<character>/*.png`, or the "background" set as torchvision unpacks it, in
    `<root>/omniglot/omniglot-py/images_background/`. The drawings are 105×105, black on white; they are inverted and
    resized to 32×32 by default. 10% of them, chosen by the hash of the relative path, are the test split.
    """

    name = "omniglot"
    decodes_late = True

    @property
    def _place(self) -> Path:
        unpacked = self.folder / TORCHVISION_FOLDER
        return unpacked if unpacked.is_dir() else self.folder

    @cached_property
    def _source(self) -> FileSource:
        if self.options.download and not any(self._place.glob("*/*/*.png")):
            from torchvision.datasets import Omniglot as Reader

            archive = self.folder / TORCHVISION_FOLDER.with_suffix(".zip")
            md5 = Reader.zips_md5[TORCHVISION_FOLDER.name]
            download(
                self.name, lambda: Reader(self.folder, background=True, download=True), {archive: md5}, self._where
            )
        return FolderSource(self._place)

    @property
    def _where(self) -> str:
        return f"put its drawings into {self.folder}/<alphabet>/<character>/*.png"

    @cached_property
    def _splits(self) -> tuple[list[str], list[str]]:
        if not self.folder.is_dir() and not self.options.download:
            raise DataError(f"omniglot is missing: {self._where}, or allow the download (--download)")
        drawings = [path for path in self._source.sizes if path.count("/") == 2 and path.endswith(".png")]
        if not drawings:
            raise DataError(f"{self._source.root} has no drawings: {self._where}, or allow the download (--download)")
        return split_by_hash(drawings, self._source.root)

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        return tuple(sorted({_character(path) for paths in self._splits for path in paths}))

    @property
    def spec(self) -> DatasetSpec:
        """See `Dataset.spec`; lists the files without reading them."""
        train, test = self._splits
        return DatasetSpec(self.name, 1, self.size, len(train), len(test), self._classes, public_benchmark=True)

    def open_train(self) -> DecodedDataset:
        """See `Dataset.open_train`."""
        return self._split(self._splits[0])

    def open_test(self) -> DecodedDataset:
        """See `Dataset.open_test`."""
        return self._split(self._splits[1])

    def _split(self, paths: list[str]) -> DecodedDataset:
        from PIL import ImageOps

        from dpbench.data.decoded import DecodedDataset

        number = {name: label for label, name in enumerate(self._classes)}
        labels = [number[_character(path)] for path in paths]
        return DecodedDataset(self.spec, self._source, paths, labels, prepare=ImageOps.invert)


def _character(path: str) -> str:
    return path.rpartition("/")[0]
