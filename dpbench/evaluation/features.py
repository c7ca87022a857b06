"""Features of a set of images: computed once, kept on disk, read in blocks: memory does not grow with the set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dpbench.core.errors import MissingScore
from dpbench.core.files import write_atomic

BLOCK_BYTES = 32 * 2**20
"""How much of the features one block holds."""

Array = NDArray[np.float32]


class Features:
    """What one extractor makes of one set of images, in the order of the images.

    Args:
        file: a .npy file of float32 [n, ...], C order; see `write_features`.

    Raises:
        ValueError: the file holds something else, or less than it says.
    """

    def __init__(self, file: Path):
        self.file = file
        try:
            array = np.load(file, mmap_mode="r")
        except EOFError as error:
            raise ValueError(f"{file} is empty") from error
        if array.dtype != np.float32 or not array.flags.c_contiguous:
            raise ValueError(f"{file} does not hold float32 features in C order")
        self._offset = file.stat().st_size - array.nbytes
        self.shape: tuple[int, ...] = array.shape[1:]
        self._count = len(array)

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Numbers per image."""
        return int(np.prod(self.shape))

    def blocks(self) -> Iterator[Array]:
        """All features in order, a part of about `BLOCK_BYTES` at a time: float32 [b, ...]."""
        rows = max(1, BLOCK_BYTES // (4 * self.size))
        with self.file.open("rb") as file:
            file.seek(self._offset)
            for start in range(0, len(self), rows):
                block = np.fromfile(file, np.float32, min(rows, len(self) - start) * self.size)
                yield block.reshape(-1, *self.shape)

    def at_most(self, most: int) -> Array:
        """The features of `most` images, evenly spaced over the set, or of all where there are no more."""
        return self.rows(spaced(len(self), most))

    def rows(self, indices: NDArray[np.int64], within: slice = slice(None)) -> Array:
        """The features of the images at `indices`, in that order; of each, `within` along its first axis (no step).

        They are read one by one: a memory map would hold the file's pages.
        """
        first, stop, _ = within.indices(self.shape[0])
        inner = self.size // self.shape[0]
        rows = np.empty((len(indices), stop - first, *self.shape[1:]), np.float32)
        with self.file.open("rb") as file:
            for row, index in zip(rows, indices.tolist(), strict=True):
                file.seek(self._offset + 4 * (self.size * index + inner * first))
                file.readinto(row.data.cast("B"))
        return rows

    def derived(
        self, name: str, make: Callable[[], Mapping[str, NDArray[np.float64]]]
    ) -> dict[str, NDArray[np.float64]]:
        """What `make` computes from these features (moments, radii ...), kept beside them under `name`."""
        path = self.file.with_suffix(f".{name}.npz")
        if path.exists():
            with suppress(ValueError, EOFError, BadZipFile), np.load(path) as stored:  # a damaged file is made again
                return {key: stored[key] for key in stored.files}
        made = dict(make())
        write_atomic(path, lambda temporary: np.savez(temporary, **made))  # type: ignore[arg-type]
        return made


def finite(features: Array) -> Array:
    """The same features.

    Raises:
        MissingScore: one of them is not finite: comparisons with it would be false and sums with it nothing.
    """
    if not np.isfinite(features).all():
        raise MissingScore("some features are not finite")
    return features


def spaced(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` whole numbers below n, in order and evenly spaced: a part that sorting by class does not upset."""
    return np.arange(n) if n <= most else (np.arange(most) * n) // most


def write_features(path: Path, count: int, blocks: Iterable[Array]) -> Features:
    """Stores `blocks` of float32 [b, ...], `count` images together, whole or not at all.

    Raises:
        ValueError: the blocks hold another number of images.
        DpbenchError: the folder cannot be written, or the disk is full.
    """

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            written = sum(_append(file, block, count, first=number == 0) for number, block in enumerate(blocks))
        if written != count:
            raise ValueError(f"features of {written} images where {count} were expected")

    write_atomic(path, write)
    return Features(path)


def _append(file: IO[bytes], block: Array, count: int, first: bool) -> int:
    block = np.ascontiguousarray(block, dtype=np.float32)
    if first:
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, *block.shape[1:])}
        np.lib.format.write_array_header_2_0(file, header)
    block.astype("<f4", copy=False).tofile(file)
    return len(block)
