"""Images in a few large files of arrays (pickles or .npz files), the format of the downsampled ImageNet."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.core.closure import code_hash
from dpbench.core.errors import DataError, reason
from dpbench.core.files import digest, write_atomic
from dpbench.core.locks import making
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.data.arrays import Indices, as_index
from dpbench.data.resized_copy import SlowSplit
from dpbench.data.safe_pickle import NUMPY, read_pickle

SAMPLES, SAMPLE_BYTES = 64, 2**16
"""A file's fingerprint covers its size and this number of evenly spaced pieces of this many bytes."""


class Arrays(NamedTuple):
    """The content of one file: images uint8 [n, 3, s, s], and class numbers int64 [n], counted from 0."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class ImageBatches(SlowSplit):
    """Files with `data`, uint8 [n, 3·s²], and `labels`, counted from 1, as a split.

    One file at a time is in memory. Labels are read once from all files and kept in `folder`.

    Args:
        spec: declaration of the split, at the files' own resolution.
        files: the files, in the order of the records.
        folder: where the labels are kept.
        where: advice for a damaged file.
    """

    def __init__(self, spec: DatasetSpec, files: Sequence[Path], folder: Path, where: str):
        self.spec = spec
        self._files = files
        self._folder = folder
        self._where = where
        self._opened: dict[int, NDArray[np.uint8]] = {}  # at most one

    def __len__(self) -> int:
        return len(self._labels)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the files' names, sizes and samples of their contents."""
        return digest([[path.name, *_sampled(path)] for path in self._files])

    @property
    def images_key(self) -> str:
        """See `SlowSplit.images_key`."""
        return digest([self.fingerprint, code_hash("dpbench.data.safe_pickle", _layout)])

    @cached_property
    def condition(self) -> Tensor:  # type: ignore[override]  # read on first use
        """See `SlowSplit.condition`."""
        return torch.from_numpy(self._labels)

    def batch(self, indices: Indices) -> Batch:
        """See `ImageDataset.batch`."""
        index = as_index(indices)
        file = np.searchsorted(self._ends, index, side="right")
        images = np.empty((len(index), *self.spec.shape), np.uint8)
        for number in np.unique(file):
            here = file == number
            start = self._ends[number - 1] if number else 0
            images[here] = self._images(int(number))[index[here] - start]
        return Batch(torch.from_numpy(images), self.condition[torch.from_numpy(index)])

    def _images(self, number: int) -> NDArray[np.uint8]:
        if number not in self._opened:
            self._opened.clear()
            self._opened[number] = self._read(self._files[number]).images
        return self._opened[number]

    @property
    def _labels(self) -> NDArray[np.int64]:
        return self._index[0]

    @property
    def _ends(self) -> NDArray[np.int64]:
        """The number of records up to the end of each file."""
        return self._index[1]

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        path = self._folder / f"{self.spec.name}-labels-{self.images_key}.npz"
        if (index := _load_index(path)) is None:
            with making(path):
                if (index := _load_index(path)) is None:
                    parts = [self._read(file).labels for file in self._files]
                    labels, ends = index = np.concatenate(parts), np.cumsum([len(part) for part in parts])
                    write_atomic(path, lambda to: np.savez(to, labels=labels, ends=ends))
        return index

    def _read(self, path: Path) -> Arrays:
        """The content of one file.

        Raises:
            DataError: the file is damaged, or has another format.
        """
        content = _load_npz(path, self._where) if path.suffix == ".npz" else read_pickle(path, self._where, NUMPY)
        try:
            return _layout(content, self.spec)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} is not a batch of {self.spec.name} ({error}); {self._where}") from error


def _layout(content: object, spec: DatasetSpec) -> Arrays:
    """Checks the content of a file; its pixels are in red, green and blue planes, row by row."""
    if not isinstance(content, dict):
        raise TypeError("it does not hold a dictionary")
    data, labels = np.asarray(content["data"]), np.asarray(content["labels"])
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != np.prod(spec.shape):
        raise ValueError(f"data is {data.dtype} {list(data.shape)}, not uint8 [n, {np.prod(spec.shape)}]")
    if labels.shape != data.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(f"labels are {labels.dtype} {list(labels.shape)}, not {len(data)} integers")
    if len(labels) and not 1 <= labels.min() <= labels.max() <= spec.n_classes:
        raise ValueError(f"labels are {labels.min()} to {labels.max()}, not 1 to {spec.n_classes}")
    return Arrays(data.reshape(len(data), *spec.shape), labels.astype(np.int64) - 1)


def _load_npz(path: Path, where: str) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in ("data", "labels")}
    except Exception as error:  # damaged archives raise all kinds of errors
        raise DataError(f"{path} cannot be read ({reason(error)}); {where}") from error


def _load_index(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Stored labels and ends; None if there are none, or they are damaged and must be made again."""
    try:
        with np.load(path) as stored:
            return stored["labels"], stored["ends"]
    except Exception:  # damaged archives raise all kinds of errors
        return None


def _sampled(path: Path) -> tuple[int, int]:
    """The size of a file, and the CRC-32 of evenly spaced pieces of it."""
    checksum, size = 0, path.stat().st_size
    with path.open("rb") as file:
        for start in np.linspace(0, max(0, size - SAMPLE_BYTES), SAMPLES).astype(int):
            file.seek(int(start), os.SEEK_SET)
            checksum = zlib.crc32(file.read(SAMPLE_BYTES), checksum)
    return size, checksum
