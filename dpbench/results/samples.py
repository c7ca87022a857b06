"""A trial's samples on disk: uint8 shards and their sampling conditions, read lazily."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
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
    write_atomic(folder / f"{number:05d}.npy", lambda path: _save(path, np.asarray(images)))


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
    """The samples in a folder, memory-mapped, with the labels or texts that they were sampled with.

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
        self._shards = [_load(path, spec) for path in sorted(folder.glob("[0-9]*.npy"))]
        self._ends = np.cumsum([len(shard) for shard in self._shards])
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
        shards = np.searchsorted(self._ends, index, side="right")
        for shard in np.unique(shards):
            rows = shards == shard
            images[rows] = self._shards[shard][index[rows] - self._ends[shard] + len(self._shards[shard])]
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
        return fingerprint(self._shards, self.labels, self.conditions.texts)


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


def _load(path: Path, spec: DatasetSpec) -> NDArray[np.uint8]:
    try:
        shard = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if shard.dtype != np.uint8 or shard.shape[1:] != spec.shape:
        raise DataError(f"{path} holds {shard.dtype} {list(shard.shape)}, not uint8 images of {list(spec.shape)}")
    return shard
