"""Features of a set of images, stored on disk and read in blocks, so that memory does not grow with the set."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dpbench.core.closure import code_hash
from dpbench.core.counted import sized
from dpbench.core.errors import MissingScore
from dpbench.core.files import write_atomic
from dpbench.evaluation.stratified import Indices, stratified_part

BLOCK_BYTES = 32 * 2**20
"""Size of one block of features."""

Array = NDArray[np.float32]


class Features:
    """The features of one extractor for one set of images, in the order of the images.

    Args:
        file: a .npy file of float32 [n, ...], C order; see `write_features`.
        labels: class of each image, int64 [n]; None without classes.

    Raises:
        ValueError: the file is empty, truncated, or not float32 in C order.

    Attributes:
        file: the file.
        labels: class of each image, int64 [n], or None.
        shape: shape of the features of one image.
    """

    def __init__(self, file: Path, labels: Indices | None = None):
        self.file = file
        self.labels = labels
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
        """Number of features per image."""
        return int(np.prod(self.shape))

    def blocks(self, within: slice = slice(None)) -> Iterator[Array]:
        """The features of all images in order, in blocks of about `BLOCK_BYTES`: float32 [b, ...].

        Args:
            within: the part of each image's features along the first axis; without a step. Only this part is read.
        """
        first, stop, _ = within.indices(self.shape[0])
        rows = max(1, BLOCK_BYTES * self.shape[0] // (4 * self.size * (stop - first)))
        for start in range(0, len(self), rows):
            yield self.rows(np.arange(start, min(start + rows, len(self))), within)

    def part(self, most: int) -> Indices:
        """The positions of at most `most` images, sorted: a random part of the set; see `stratified_part`."""
        return stratified_part(self.labels, len(self), most)

    def at_most(self, most: int) -> Array:
        """The features of the images in `part`: float32 [min(n, most), ...]."""
        return self.rows(self.part(most))

    def rows(self, indices: Indices, within: slice = slice(None)) -> Array:
        """The features of the images at `indices`, in that order: float32 [len(indices), ...].

        Rows are read one by one, because a memory map would keep the file's pages in memory.

        Args:
            indices: int64 [b].
            within: the part of each image's features along the first axis; without a step.
        """
        first, stop, _ = within.indices(self.shape[0])
        rows = np.empty((len(indices), stop - first, *self.shape[1:]), np.float32)
        start, stride = self._offset + 4 * first * (self.size // self.shape[0]), 4 * self.size
        with self.file.open("rb", buffering=0) as file:
            for row, index in zip(rows, indices.tolist(), strict=True):
                file.seek(start + stride * index)
                file.readinto(row.data.cast("B"))
        return rows

    def derived(
        self, name: str, make: Callable[[], Mapping[str, NDArray[np.float64]]]
    ) -> dict[str, NDArray[np.float64]]:
        """Arrays computed from these features (moments, radii ...), stored in a file next to them.

        Args:
            name: part of the file name.
            make: computes the arrays unless they are stored already, made by the same code; see `code_hash`.
        """
        path = self.file.with_suffix(f".{name}-{code_hash(make)[:12]}.npz")
        if path.exists():
            with suppress(ValueError, EOFError, BadZipFile), np.load(path) as stored:  # a damaged file is ignored
                return {key: stored[key] for key in stored.files}
        made = dict(make())
        write_atomic(path, lambda temporary: np.savez(temporary, **made))  # type: ignore[arg-type]
        return made


def require_finite(features: Array) -> Array:
    """Returns the features unchanged if all are finite.

    Raises:
        MissingScore: a feature is NaN or infinite; comparisons and sums with it would be meaningless.
    """
    if not np.isfinite(features).all():
        raise MissingScore("some features are not finite")
    return features


def write_features(path: Path, count: int, blocks: Iterable[Array], labels: Indices | None = None) -> Features:
    """Stores features atomically as a .npy file.

    Args:
        path: the file.
        count: number of images.
        blocks: float32 [b, ...], of `count` images in total.
        labels: class of each image, int64 [count]; None without classes. They are not stored.

    Raises:
        ValueError: the blocks hold a different number of images.
        DpbenchError: the folder cannot be written, or the disk has no room for the features of all images.
    """

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            written = sum(_append(file, block, count, first=number == 0) for number, block in enumerate(blocks))
        if written != count:
            raise ValueError(f"got features of {written} images, expected {count}")

    write_atomic(path, write)
    return Features(path, labels)


def _append(file: IO[bytes], block: Array, count: int, first: bool) -> int:
    block = np.ascontiguousarray(block, dtype=np.float32)
    if first:
        _require_room(file, count * block[0].nbytes)
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, *block.shape[1:])}
        np.lib.format.write_array_header_2_0(file, header)
    file.write(block.astype("<f4", copy=False).data)  # `tofile` does not say that the disk is full
    return len(block)


def _require_room(file: IO[bytes], needed: int) -> None:
    """Fails early and leaves the disk to others, instead of filling it for minutes."""
    free = shutil.disk_usage(file.name).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"its {sized(needed)} do not fit into the {sized(free)} that are free")
