"""A user's own images: a folder or zip archive, with or without classes, with or without a given split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dpbench.core.data import DataOptions, Dataset
from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data.declared import checked_resolution
from dpbench.data.image_files import FileSource, open_source
from dpbench.data.splits import split_by_hash

if TYPE_CHECKING:
    from dpbench.data.decoded import DecodedDataset

IMAGE_TYPES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
GREY = "?gray"
TEST_FOLDERS = ("test", "val")  # the first that exists is the test split
SPLIT_FOLDERS = {"train", *TEST_FOLDERS}


def folder_path(argument: str) -> Path:
    """The path in "PATH" or "PATH?gray"."""
    return Path(argument.removesuffix(GREY)).expanduser()


class Folder(Dataset):
    """Your own images: `folder:PATH`, a folder or zip, one sub-folder per class or none

    `folder:PATH?gray` reads them as grey images with one channel; otherwise they have three channels. The short side is
    resized to `options.resolution` (32 by default), then the image is cropped to its central square.

    Sub-folders `train` and `test` (or `val`, if there is no `test`) are the splits; `val` is ignored if `test` exists.
    Without them, each image is assigned to train (90%) or test (10%) by the hash of its relative path. If everything is
    in a single folder, the contents of that folder are used. Hidden files are ignored; any other file that is not an
    image is an error, so that no record is lost silently. The folder counts as private unless
    `options.public_benchmark` is set.
    """

    def __init__(self, argument: str, options: DataOptions):
        super().__init__(argument, options)
        self.path = folder_path(argument)
        if not argument.removesuffix(GREY):
            raise DataError("dataset 'folder' needs a path: folder:PATH")
        self.size = checked_resolution(options, 32)

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        """See `Dataset.overlap`; folders also overlap if one is inside the other."""
        path, other_path = folder_path(argument).resolve(), folder_path(other).resolve()
        return path == other_path or path in other_path.parents or other_path in path.parents

    @cached_property
    def _source(self) -> FileSource:
        return open_source(self.path)

    @cached_property
    def _listing(self) -> _Listing:
        return _list(self._source)

    @property
    def spec(self) -> DatasetSpec:
        """See `Dataset.spec`; lists the files without reading them."""
        return DatasetSpec(
            name=f"folder:{self.argument}",
            channels=1 if self.argument.endswith(GREY) else 3,
            resolution=self.size,
            n_train=len(self._listing.train),
            n_test=len(self._listing.test),
            classes=self._listing.classes,
            public_benchmark=self.options.public_benchmark,
        )

    def open_train(self) -> DecodedDataset:
        """See `Dataset.open_train`."""
        return self._split(self._listing.train)

    def open_test(self) -> DecodedDataset:
        """See `Dataset.open_test`."""
        return self._split(self._listing.test)

    def _split(self, records: dict[str, str | None]) -> DecodedDataset:
        from dpbench.data.decoded import DecodedDataset

        number = {name: label for label, name in enumerate(self._listing.classes or ())}
        labels = [number[name] for name in records.values() if name is not None]
        return DecodedDataset(self.spec, self._source, list(records), labels if number else None)


@dataclass(frozen=True)
class _Listing:
    train: dict[str, str | None]  # path -> class name, or None without classes
    test: dict[str, str | None]
    classes: tuple[str, ...] | None


def _list(source: FileSource) -> _Listing:
    for path in source.sizes:
        if not path.lower().endswith(IMAGE_TYPES):
            raise DataError(f"{source.describe(path)} is not an image ({', '.join(IMAGE_TYPES)}); remove it")
    if not source.sizes:
        raise DataError(f"{source.root} has no images ({', '.join(IMAGE_TYPES)})")
    base = ""
    inside = _folders_in(source, base)
    if len(inside) == 1 and all("/" in path for path in source.sizes):
        base = f"{inside[0]}/"
        inside = _folders_in(source, base)

    held_out = next((name for name in TEST_FOLDERS if name in inside), None)
    if "train" not in inside or held_out is None:
        records = _records(source, base)
        parts = split_by_hash((path.removeprefix(base) for path in records), source.root)
        train, test = ({base + path: records[base + path] for path in part} for part in parts)
    else:
        for stray in [name for name in inside if name not in SPLIT_FOLDERS] + _files_in(source, base):
            raise DataError(
                f"{source.describe(base + stray)} is next to train/ and {held_out}/; move it into one of them"
            )
        train, test = (_records(source, f"{base}{name}/") for name in ("train", held_out))

    known, tested = ({name for name in part.values() if name is not None} for part in (train, test))
    if bool(known) != bool(tested):
        raise DataError(f"{source.root} has class folders in one of train/ and {held_out}/ only; give both or neither")
    for name in sorted(tested - known):
        raise DataError(f"class folder '{name}' of {source.root} has test images but no training images; add some")
    return _Listing(train, test, tuple(sorted(known)) or None)


def _records(source: FileSource, base: str) -> dict[str, str | None]:
    """The images below `base`: path -> name of its class folder, or None without class folders."""
    classes, loose = _folders_in(source, base), _files_in(source, base)
    if classes and loose:
        stray = source.describe(base + loose[0])
        raise DataError(f"{stray} is next to class folders; move it into one of them, or use no class folders")
    below = [path for path in source.sizes if path.startswith(base)]
    if not below:
        raise DataError(f"{source.describe(base)} has no images")
    if not classes:
        return dict.fromkeys(below)
    records: dict[str, str | None] = {path: path.removeprefix(base).split("/")[0] for path in below}
    for name in sorted({*classes} - {*records.values()}):
        raise DataError(f"class folder {source.describe(base + name)} has no images; fill it or remove it")
    return records


def _folders_in(source: FileSource, base: str) -> list[str]:
    inside = (folder.removeprefix(base) for folder in source.folders if folder.startswith(base))
    return sorted(name for name in inside if "/" not in name)


def _files_in(source: FileSource, base: str) -> list[str]:
    inside = (path.removeprefix(base) for path in source.sizes if path.startswith(base))
    return [name for name in inside if "/" not in name]
