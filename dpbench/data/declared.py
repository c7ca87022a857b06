"""Base classes of named datasets whose shape and size are known in advance."""

from __future__ import annotations

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
