"""A trial's samples on disk: uint8 shards and their sampling conditions, read lazily."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.files import read_json, write_atomic, write_json
from dpbench.core.specs import Batch, Conditions, DatasetSpec

if TYPE_CHECKING:
    from torch import Tensor

CONDITIONS = "conditions.json"


def clear(folder: Path) -> None:
    """Deletes the shards of an earlier, unfinished attempt."""
    for path in [folder / CONDITIONS, *folder.glob("*.npy")]:
        path.unlink(missing_ok=True)


def write_shard(folder: Path, number: int, images: Tensor | NDArray[np.uint8]) -> None:
    """Writes uint8 images [b, c, h, w] as shard `number`, counted from 0."""
    write_atomic(folder / f"{number:05d}.npy", lambda path: _save(path, np.asarray(images)))


def _save(path: Path, array: NDArray[np.uint8]) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def write_conditions(folder: Path, conditions: Conditions) -> None:
    """Writes the conditions of all images in order. Written last: its presence means that the shards are complete."""
    write_json(folder / CONDITIONS, {"count": conditions.count, "labels": conditions.labels})


class StoredSamples(ImageDataset):
    """The samples in a folder, memory-mapped, labelled with their conditions.

    Args:
        folder: a trial's samples/.
        spec: declaration of the dataset that they imitate.

    Attributes:
        labels: int64 [n], or None.

    Raises:
        DataError: a file is missing or damaged; the message names it.
    """

    def __init__(self, folder: Path, spec: DatasetSpec):
        self.spec = spec
        conditions = read_json(folder / CONDITIONS)
        self._shards = [_load(path, spec) for path in sorted(folder.glob("*.npy"))]
        self._ends = np.cumsum([len(shard) for shard in self._shards])
        found = int(self._ends[-1]) if self._shards else 0
        labels = conditions.get("labels")
        if found != conditions.get("count") or (labels is not None and len(labels) != found):
            raise DataError(f"{folder} holds {found} images, but {CONDITIONS} says {conditions.get('count')}")
        self.labels = None if labels is None else np.asarray(labels, dtype=np.int64)

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
        labels = None if self.labels is None else torch.from_numpy(self.labels[index])
        return Batch(torch.from_numpy(images), labels)

    @cached_property
    def fingerprint(self) -> str:
        """See `fingerprint`."""
        return fingerprint(self._shards, self.labels)


def fingerprint(shards: Iterable[NDArray[np.uint8]], labels: NDArray[np.int64] | None) -> str:
    """A hash of all images and their labels, independent of the division into shards."""
    content = hashlib.sha256()
    for shard in shards:
        content.update(np.ascontiguousarray(shard).data)
    if labels is not None:
        content.update(labels.data)
    return content.hexdigest()[:16]


def _load(path: Path, spec: DatasetSpec) -> NDArray[np.uint8]:
    try:
        shard = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if shard.dtype != np.uint8 or shard.shape[1:] != spec.shape:
        raise DataError(f"{path} holds {shard.dtype} {list(shard.shape)}, not uint8 images of {list(spec.shape)}")
    return shard
