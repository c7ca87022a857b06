"""A user's own images: a folder or zip archive, with or without classes, with or without a given split."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dpbench.core.data import DataOptions, Dataset
from dpbench.core.errors import DataError
from dpbench.core.folders import expanded, nested
from dpbench.core.names import check_name
from dpbench.core.specs import DatasetSpec
from dpbench.data.class_order import class_order
from dpbench.data.declared import checked_resolution
from dpbench.data.image_files import IMAGE_TYPES, FileSource, is_image, open_source
from dpbench.data.split_folders import TEST, TRAIN, VALIDATION, SplitFolders, common_folder, has_word, split_folders
from dpbench.data.splits import split_by_hash

if TYPE_CHECKING:
    from dpbench.data.decoded import DecodedDataset

GREY = "?gray"
HELD_OUT = {*TEST, *VALIDATION}

Records = dict[str, str | None]
"""Path -> class name, or None without classes."""


def folder_path(argument: str) -> Path:
    """The path in "PATH" or "PATH?gray": absolute, without symbolic links, so that a folder has one name.

    Raises:
        DpbenchError: the path has line breaks or bytes that are not UTF-8, or a loop of symbolic links.
    """
    path = argument.removesuffix(GREY)
    for part in PurePosixPath(path).parts:
        check_name(part, "folder")
    try:
        return expanded(Path(path)).resolve()
    except RuntimeError as error:  # a loop of symbolic links
        raise DataError(f"{path} cannot be followed ({error}); give a folder of images or a zip of one") from error


class Folder(Dataset):
    """Your own images: `folder:PATH`, a folder or zip, one sub-folder per class or none

    `folder:PATH?gray` reads them as grey images with one channel; otherwise they have three channels. The short side is
    resized to `options.resolution` (32 by default), then the image is cropped to its central square.

    Sub-folders with the names of splits are the splits (`data.split_folders`): `train` and `test`, or `val` if there is
    no `test`, otherwise `val` is ignored. Without them, each image is assigned to train (90%) or test (10%) by the
    hash of its relative path. If everything is in a single folder, the contents of that folder are used. Classes are
    numbered in the order of `data.class_order`. Hidden files are ignored, and so are files next to the splits that are
    not images, e.g. annotations; any other file that is not an image is an error, so that no record is lost silently.
    The folder counts as private unless `options.public_benchmark` is set.
    """

    folder: Path
    decodes_late = True

    def __init__(self, argument: str, options: DataOptions):
        if not argument.removesuffix(GREY):
            raise DataError("dataset 'folder' needs a path: folder:PATH")
        super().__init__(self.canonical(argument), options)
        self.folder = folder_path(argument)
        self.size = checked_resolution(options, 32)

    @classmethod
    def canonical(cls, argument: str) -> str:
        """See `Dataset.canonical`; the resolved path."""
        return f"{folder_path(argument)}{GREY if argument.endswith(GREY) else ''}"

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        """See `Dataset.overlap`; folders also overlap if one is inside the other."""
        return nested(folder_path(argument), folder_path(other))

    @cached_property
    def _source(self) -> FileSource:
        return open_source(self.folder)

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

    def _split(self, records: Records) -> DecodedDataset:
        from dpbench.data.decoded import DecodedDataset

        number = {name: label for label, name in enumerate(self._listing.classes or ())}
        labels = [number[name] for name in records.values() if name is not None]
        return DecodedDataset(self.spec, self._source, list(records), labels if number else None)


@dataclass(frozen=True)
class _Listing:
    train: Records
    test: Records
    classes: tuple[str, ...] | None


def _list(source: FileSource) -> _Listing:
    if not source.sizes:
        raise DataError(f"{source.root} has no images ({', '.join(IMAGE_TYPES)})")
    base = common_folder(_entries(source, ""))
    splits = split_folders(_folders_in(source, base), source.root)
    train, test = _split_by_name(source, base, splits) if splits else _split_by_hash(source, base)
    known, tested = (_classes(part) for part in (train, test))
    for name in sorted(tested - known):
        raise DataError(f"class folder '{name}' of {source.root} has test images but no training images; add some")
    return _Listing(train, test, class_order(known) or None)


def _split_by_hash(source: FileSource, base: str) -> list[Records]:
    records = _records(source, base)
    parts = split_by_hash((path.removeprefix(base) for path in records), source.root)
    return [{base + path: records[base + path] for path in part} for part in parts]


def _split_by_name(source: FileSource, base: str, splits: SplitFolders) -> list[Records]:
    names = f"{splits.train}/ and {splits.test}/"
    beside = {path.removeprefix(base).partition("/")[:2] for path in source.sizes if is_image(path)}
    for stray, in_folder in sorted(beside):
        if in_folder and has_word(stray, {*TRAIN, *HELD_OUT}):
            continue
        raise DataError(f"{source.describe(base + stray)} is next to {names}; move it into one of them, or remove it")
    wanted = ((splits.train, TRAIN), (splits.test, HELD_OUT))
    parts = [_records(source, _inside(source, f"{base}{name}/", words)) for name, words in wanted]
    if len({bool(_classes(part)) for part in parts}) > 1:
        raise DataError(f"{source.root} has class folders in one of {names} only; give both or neither")
    return parts


def _classes(records: Records) -> set[str]:
    return {name for name in records.values() if name is not None}


def _records(source: FileSource, base: str) -> Records:
    """The images below `base`: path -> name of its class folder, or None without class folders."""
    below = [path for path in source.sizes if path.startswith(base)]
    if not below:
        raise DataError(f"{source.describe(base)} has no images")
    for path in below:
        if not is_image(path):
            raise DataError(f"{source.describe(path)} is not an image ({', '.join(IMAGE_TYPES)}); remove it")
    classes, loose = _folders_in(source, base), _files_in(source, base)
    if classes and loose:
        stray = source.describe(base + loose[0])
        raise DataError(f"{stray} is next to class folders; move it into one of them, or use no class folders")
    if not classes:
        return dict.fromkeys(below)
    records: Records = {path: path.removeprefix(base).split("/")[0] for path in below}
    for name in sorted({*classes} - {*records.values()}):
        raise DataError(f"class folder {source.describe(base + name)} has no images; fill it or remove it")
    return records


def _inside(source: FileSource, base: str, split: Collection[str]) -> str:
    """The folder of a split's images or class folders, which may be nested below `base`: "seg_train/seg_train/"."""
    entries = _entries(source, base)
    leaves = {PurePosixPath(entry).parent.name for entry in entries if not entry.endswith("/")}
    return base + common_folder(entries, [name for name in leaves if not has_word(name, split)])


def _entries(source: FileSource, base: str) -> list[str]:
    """All paths below `base`, relative to it; folders end with "/"."""
    entries = (*source.sizes, *(f"{folder}/" for folder in source.folders))
    return [entry.removeprefix(base) for entry in entries if entry.startswith(base) and entry != base]


def _folders_in(source: FileSource, base: str) -> list[str]:
    inside = (folder.removeprefix(base) for folder in source.folders if folder.startswith(base))
    return sorted(name for name in inside if "/" not in name)


def _files_in(source: FileSource, base: str) -> list[str]:
    inside = (path.removeprefix(base) for path in source.sizes if path.startswith(base))
    return [name for name in inside if "/" not in name]
