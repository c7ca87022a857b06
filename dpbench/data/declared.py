"""Base classes of named datasets whose shape and size are known in advance."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from dpbench.core.data import DataOptions, Dataset
from dpbench.core.errors import DataError, UnknownName
from dpbench.core.specs import DatasetSpec

RESOLUTIONS = (4, 1024)


def checked_resolution(options: DataOptions, default: int, allowed: tuple[int, int] = RESOLUTIONS) -> int:
    """The requested resolution, or the default.

    Raises:
        DataError: the resolution is outside `allowed` (lowest and highest, inclusive).
    """
    resolution = default if options.resolution is None else options.resolution
    low, high = allowed
    if not low <= resolution <= high:
        raise DataError(f"resolution {resolution} is not supported here; choose one from {low} to {high}")
    return resolution


class NamedDataset(Dataset):
    """A dataset whose name takes no ":argument", or one of a few choices, unless a subclass handles arguments.

    Raises:
        DataError: an argument is given but the dataset takes none, or the resolution is not supported.
        UnknownName: the argument is not one of the choices.
    """

    name: str
    folder: Path
    resolution: ClassVar[int] = 32  # the default
    resolutions: ClassVar[tuple[int, int]] = RESOLUTIONS  # lowest and highest
    choices: ClassVar[tuple[str, ...]] = ()  # arguments; the plain name stands for the first

    def __init__(self, argument: str, options: DataOptions):
        super().__init__(self.canonical(argument), options)
        if argument and not self.choices:
            raise DataError(
                f"dataset '{self.name}' takes no argument; write '{self.name}', not '{self.name}:{argument}'"
            )
        self.choice = self.chosen(argument)
        if self.choice not in ("", *self.choices):
            raise UnknownName(f"choice of {self.name}", argument, self.choices)
        self.size = checked_resolution(options, self.resolution, self.resolutions)
        self.folder = options.root / self.name
        if self.argument:
            self.name = f"{self.name}:{self.argument}"

    @classmethod
    def chosen(cls, argument: str) -> str:
        """The choice that an argument stands for, ignoring case; other arguments stay as they are."""
        wanted = argument.casefold() or "".join(cls.choices[:1]).casefold()
        return next((choice for choice in cls.choices if choice.casefold() == wanted), argument)

    @classmethod
    def canonical(cls, argument: str) -> str:
        """See `Dataset.canonical`; "" for the first choice."""
        choice = cls.chosen(argument)
        return "" if choice in cls.choices[:1] else choice


class DeclaredDataset(NamedDataset):
    """A dataset whose shape, counts and classes are attributes, known without reading its files."""

    channels: ClassVar[int]
    n_train: int
    n_test: int
    classes: tuple[str, ...] | None = None

    @property
    def spec(self) -> DatasetSpec:
        """See `Dataset.spec`."""
        return DatasetSpec(
            self.name, self.channels, self.size, self.n_train, self.n_test, self.classes, public_benchmark=True
        )


class CountedDataset(DeclaredDataset):
    """A declared dataset whose files may be only an extract: then the counts are those of the files, with a warning."""

    @abstractmethod
    def _count(self, train: bool) -> int:
        """The number of records in the files of a split.

        Raises:
            DataError: a file is missing or damaged.
        """

    @property
    def published(self) -> DatasetSpec:
        """The declaration with the published counts."""
        return super().spec

    @cached_property
    def spec(self) -> DatasetSpec:
        """See `Dataset.spec`; counts the records if the files are there."""
        return replace(self.published, n_train=self._found(train=True), n_test=self._found(train=False))

    def _found(self, train: bool) -> int:
        """The number of records of a split; the published one without intact files, which `train` and `test` report."""
        published = self.n_train if train else self.n_test
        try:
            found = self._count(train)
        except (DataError, OSError):
            return published
        warn_of_other_count(self.name, train, found, published)
        return found


def warn_of_other_count(name: str, train: bool, found: int, published: int) -> None:
    """Warns if a split of a dataset has another number of images than published."""
    if found != published:
        split = "train" if train else "test"
        warnings.warn(f"{name} has {found:,} {split} images, not the published {published:,}", stacklevel=2)
