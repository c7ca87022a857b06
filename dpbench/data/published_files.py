"""Base class of datasets of image files in their published layout."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data.declared import NamedDataset, warn_of_other_count
from dpbench.data.image_files import ListedSource

if TYPE_CHECKING:
    from dpbench.data.resized_copy import ResizedCopy


class PublishedDataset(NamedDataset):
    """Image files in `<root>/<name>/`, decoded when a batch is read and kept as a resized copy.

    The declared counts are the published ones. If the files are only an extract, the counts are those of the files,
    with a warning. The short side is resized (bicubic, antialiased), then the central square is cropped.

    A subclass that knows its classes without files is also a `DeclaredDataset`.

    Raises (from `spec`, `train` and `test`, if the folder exists):
        DataError: a file is missing or damaged; the message says where to put it.
    """

    n_train: int
    n_test: int
    channels = 3
    classes: tuple[str, ...] | None = None
    caption_bytes: int = 0
    downloadable: ClassVar[bool] = False  # whether `_download` can
    decodes_late = True

    @property
    @abstractmethod
    def _where(self) -> str:
        """The instruction in messages about missing files."""

    @abstractmethod
    def _list(self, train: bool) -> list[str]:
        """The paths of a split's images, relative to the folder, in the order of the records."""

    @abstractmethod
    def _condition(self, train: bool) -> list[int] | list[str] | None:
        """The class number of each record of a split, or its captions as one text."""

    def _download(self) -> None:
        """Downloads missing files, if a library can."""

    @property
    def _class_names(self) -> tuple[str, ...] | None:
        return self.classes

    @cached_property
    def _splits(self) -> dict[bool, list[str]]:
        """Whether it is train -> the paths of its images."""
        if self.options.download:
            self._download()
        if not self.folder.is_dir():
            raise self._missing(self.folder)
        splits = {train: self._list(train) for train in (True, False)}
        for train, published in ((True, self.n_train), (False, self.n_test)):
            if not splits[train]:
                raise DataError(f"{self.folder} has no {'train' if train else 'test'} images: {self._where}")
            warn_of_other_count(self.name, train, len(splits[train]), published)
        return splits

    @cached_property
    def spec(self) -> DatasetSpec:
        """See `Dataset.spec`; lists the files if they are there."""
        n_train, n_test = self.n_train, self.n_test
        if self.folder.is_dir() or self.options.download:
            n_train, n_test = len(self._splits[True]), len(self._splits[False])
        classes = self._class_names
        return DatasetSpec(self.name, self.channels, self.size, n_train, n_test, classes, True, self.caption_bytes)

    def open_train(self) -> ImageDataset:
        """See `Dataset.open_train`."""
        return self._open(train=True)

    def open_test(self) -> ImageDataset:
        """See `Dataset.open_test`."""
        return self._open(train=False)

    def _open(self, train: bool) -> ResizedCopy:
        from dpbench.data.decoded import DecodedDataset
        from dpbench.data.resized_copy import COPIES, ResizedCopy

        paths, condition = self._splits[train], self._condition(train)
        files = DecodedDataset(self.spec, ListedSource(self.folder, paths, self._where), paths, condition, keep=False)
        name = f"{self.folder.name}-{'train' if train else 'test'}-{self.size}"
        return ResizedCopy(files, self.options.cache / COPIES, name, self.options.progress)

    def _needed(self, *names: str) -> Path:
        """The first of these files or folders that exists, relative to the folder.

        Raises:
            DataError: none exists; the message names the first.
        """
        places = [self.folder / name for name in names]
        for place in places:
            if place.exists():
                return place
        raise self._missing(places[0])

    def _missing(self, path: Path) -> DataError:
        download = ", or allow the download (--download)" if self.downloadable else ""
        return DataError(f"{path} is missing: {self._where}{download}")

    def _damaged(self, path: Path, reason: object) -> DataError:
        return DataError(f"{path} is damaged ({reason}): {self._where}")

    def _lines(self, path: Path) -> list[str]:
        """The lines of a text file.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            return path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(path, getattr(error, "strerror", None) or error) from error
