"""A trial's samples on disk: uint8 shards and their sampling conditions, read lazily."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dpbench.core.captions import encode_captions
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.files import remove, write_atomic, write_json
from dpbench.core.specs import Batch, Conditions, DatasetSpec
from dpbench.core.typed_json import read_typed

if TYPE_CHECKING:
    from torch import Tensor

CONDITIONS = "conditions.json"


def clear(folder: Path) -> None:
    """Removes the shards of an earlier, unfinished attempt, and nothing else."""
    for path in [folder / CONDITIONS, *folder.glob("*.npy")]:
        remove(path)


@dataclass(frozen=True)
class _Stored:
    """The content of conditions.json."""

    count: int
    labels: tuple[int, ...] | None
    texts: tuple[str, ...] | None = None


def write_shard(folder: Path, number: int, images: Tensor | NDArray[np.uint8]) -> None:
    """Writes uint8 images [b, c, h, w] as shard `number`, counted from 0."""
    write_atomic(folder / f"{number:05d}.npy", lambda path: _save(path, np.ascontiguousarray(images)))


def read_shard(folder: Path, number: int) -> NDArray[np.uint8]:
    """The images that `write_shard` wrote.

    Raises:
        OSError: the file is missing.
        ValueError: it is damaged.
    """
    with (folder / f"{number:05d}.npy").open("rb") as file:
        images: NDArray[np.uint8] = np.lib.format.read_array(file, allow_pickle=False)
    return images


def _save(path: Path, array: NDArray[np.uint8]) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def write_conditions(folder: Path, conditions: Conditions) -> None:
    """Writes the conditions of the images in all shards, in order. Written last, it marks the samples as complete."""
    content = {"count": conditions.count, "labels": conditions.labels}
    write_json(folder / CONDITIONS, content if conditions.texts is None else content | {"texts": conditions.texts})


def read_conditions(folder: Path) -> Conditions:
    """The conditions that `write_conditions` wrote.

    Raises:
        DpbenchError: the file is missing or damaged.
    """
    stored = read_typed(folder / CONDITIONS, _Stored)
    return Conditions(stored.count, stored.texts if stored.labels is None else stored.labels)


class StoredSamples(ImageDataset):
    """The samples in a folder, read shard by shard, with the labels or texts that they were sampled with.

    Args:
        folder: a trial's samples/.
        spec: declaration of the dataset that they imitate.

    Attributes:
        conditions: the conditions of the images.
        labels: int64 [n], or None.

    Raises:
        DataError: a file is missing or damaged; the message names it.
    """

    def __init__(self, folder: Path, spec: DatasetSpec):
        self.spec = spec
        self._folder = folder
        self.conditions = read_conditions(folder)
        self._shards = [_Shard.of(path, spec) for path in sorted(folder.glob("[0-9]*.npy"))]
        self._ends = np.cumsum([shard.count for shard in self._shards])
        found = int(self._ends[-1]) if self._shards else 0
        count, condition = self.conditions.count, self.conditions.condition
        if found != count or (condition is not None and len(condition) != found):
            raise DataError(f"{folder} holds {found} images, but {CONDITIONS} says {count}")
        labels = self.conditions.labels
        self.labels = None if labels is None else np.asarray(labels, dtype=np.int64)

    def check_labels(self) -> None:
        """Checks that every label belongs to a class.

        Raises:
            DataError: a label does not.
        """
        labels = self.conditions.labels
        if labels and not 0 <= min(labels) <= max(labels) < max(self.spec.n_classes, 1):
            raise DataError(f"{self._folder / CONDITIONS} is damaged: some labels belong to no class")

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`."""
        import torch

        index = np.asarray(indices, dtype=np.int64)
        images = np.empty((len(index), *self.spec.shape), dtype=np.uint8)
        numbers = np.searchsorted(self._ends, index, side="right")
        for number in np.unique(numbers):
            shard, places = self._shards[number], np.flatnonzero(numbers == number)
            shard.read(index[places] - self._ends[number] + shard.count, images, places)
        condition = None if self._condition is None else self._condition[torch.from_numpy(index)]
        return Batch(torch.from_numpy(images), condition)

    @cached_property
    def _condition(self) -> Tensor | None:
        """int64 [n] labels, uint8 [n, length] prompts or None."""
        import torch

        texts = self.conditions.texts
        if texts is not None:
            return encode_captions(texts)
        return None if self.labels is None else torch.from_numpy(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """See `fingerprint`."""
        return fingerprint((shard.images() for shard in self._shards), self.labels, self.conditions.texts)


def fingerprint(
    shards: Iterable[NDArray[np.uint8]], labels: NDArray[np.int64] | None, texts: Sequence[str] | None = None
) -> str:
    """A hash of all images, independent of their shards, and of their labels or texts."""
    content = hashlib.sha256()
    for shard in shards:
        content.update(np.ascontiguousarray(shard).data)
    if labels is not None:
        content.update(labels.data)
    for text in texts or ():
        content.update(text.encode() + b"\0")
    return content.hexdigest()[:16]


@dataclass(frozen=True)
class _Shard:
    """Where a shard's images are. Its file is open only while some are read: systems limit the number of open files.

    Attributes:
        path: the .npy file.
        count: number of images.
        shape: shape of an image.
        offset: position of the first image in the file, in bytes.
    """

    path: Path
    count: int
    shape: tuple[int, int, int]
    offset: int

    @classmethod
    def of(cls, path: Path, spec: DatasetSpec) -> _Shard:
        """The shard in a file.

        Raises:
            DataError: the file cannot be read, is damaged, or holds anything but uint8 images of the dataset's shape.
        """
        with _reading(path):
            array = np.lib.format.open_memmap(path, mode="r")
            if not array.flags.c_contiguous:
                raise ValueError("its images are not in C order")
        if array.dtype != np.uint8 or array.shape[1:] != spec.shape:
            raise DataError(f"{path} holds {array.dtype} {list(array.shape)}, not uint8 images of {list(spec.shape)}")
        return cls(path, len(array), spec.shape, array.offset)

    def images(self) -> NDArray[np.uint8]:
        """All images: uint8 [count, c, h, w]; errors as `read`."""
        images, rows = np.empty((self.count, *self.shape), np.uint8), np.arange(self.count)
        self.read(rows, images, rows)
        return images

    def read(self, rows: NDArray[np.int64], images: NDArray[np.uint8], places: NDArray[np.int64]) -> None:
        """Reads the images at `rows` into `images`, uint8 [n, c, h, w], at `places`; consecutive ones at once.

        Raises:
            DataError: the file cannot be read, or has become shorter.
        """
        starts = np.flatnonzero((np.diff(rows, prepend=-2) != 1) | (np.diff(places, prepend=-2) != 1))
        with _reading(self.path), self.path.open("rb", buffering=0) as file:
            for start, stop in pairwise((*starts.tolist(), len(rows))):
                part = images[places[start] : places[start] + stop - start]
                file.seek(self.offset + int(rows[start]) * math.prod(self.shape))
                if file.readinto(part.data) != part.nbytes:
                    raise ValueError("it has become shorter")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns the errors of a shard that cannot be read, or is damaged, into one line."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, MemoryError, OverflowError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
