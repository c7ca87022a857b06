"""Base classes of named datasets whose shape and size are known in advance."""

from __future__ import annotations

from typing import ClassVar

from dpbench.core.data import DataOptions, Dataset
from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec

RESOLUTIONS = (4, 1024)


def checked_resolution(options: DataOptions, default: int, allowed: tuple[int, int] = RESOLUTIONS) -> int:
    """The requested resolution, or the default.

    Raises:
        DataError: it is outside `allowed` (lowest and highest, inclusive).
    """
    resolution = default if options.resolution is None else options.resolution
    low, high = allowed
    if not low <= resolution <= high:
        raise DataError(f"resolution {resolution} is not supported here; choose one from {low} to {high}")
    return resolution


class NamedDataset(Dataset):
    """A dataset whose name takes no ":argument", unless a subclass handles one.

    Raises:
        DataError: an argument is given, or the resolution is not supported.
    """

    name: str
    resolution: ClassVar[int] = 32  # the default
    resolutions: ClassVar[tuple[int, int]] = RESOLUTIONS  # lowest and highest

    def __init__(self, argument: str, options: DataOptions):
        super().__init__(argument, options)
        if argument:
            raise DataError(
                f"dataset '{self.name}' takes no argument; write '{self.name}', not '{self.name}:{argument}'"
            )
        self.size = checked_resolution(options, self.resolution, self.resolutions)
        self.folder = options.root / self.name


class DeclaredDataset(NamedDataset):
    """A dataset whose shape, counts and classes are class attributes, known without reading its files."""

    channels: ClassVar[int]
    n_train: ClassVar[int]
    n_test: ClassVar[int]
    classes: ClassVar[tuple[str, ...] | None]

    @property
    def spec(self) -> DatasetSpec:
        """See `Dataset.spec`."""
        return DatasetSpec(
            self.name, self.channels, self.size, self.n_train, self.n_test, self.classes, public_benchmark=True
        )
