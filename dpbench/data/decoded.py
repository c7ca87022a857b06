"""A split of image files, decoded when a batch is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import torch
from PIL import Image

from dpbench.core.data import ImageDataset
from dpbench.core.files import digest
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.data.arrays import Indices, as_index
from dpbench.data.image_files import FileSource
from dpbench.data.pixels import MODE, decode

CACHE_BYTES = 512 * 2**20  # splits up to this size stay decoded in memory
THREADS = min(8, os.cpu_count() or 1)


class DecodedDataset(ImageDataset):
    """The files at `paths` of a source as a split.

    Decoded images are kept in memory if the whole split takes at most `CACHE_BYTES`.

    Args:
        spec: declaration of the split, with the channels and resolution to decode to.
        source: the files.
        paths: the records' relative paths.
        labels: class number of each path, or None.
        prepare: applied to each decoded image before it is resized.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        source: FileSource,
        paths: Sequence[str],
        labels: Sequence[int] | None,
        prepare: Callable[[Image.Image], Image.Image] = lambda image: image,
    ):
        self.spec = spec
        self._source = source
        self._paths = list(paths)
        self._labels = None if labels is None else torch.tensor(labels, dtype=torch.int64)
        self._prepare = prepare
        fits = len(self._paths) * int(np.prod(spec.shape)) <= CACHE_BYTES
        self._cache = torch.empty((len(self._paths), *spec.shape), dtype=torch.uint8) if fits else None
        self._cached = torch.zeros(len(self._paths), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self._paths)

    def _decode(self, record: int) -> torch.Tensor:
        path = self._paths[record]
        content = self._source.read(path)
        return decode(
            content, self._source.describe(path), MODE[self.spec.channels], self.spec.resolution, self._prepare
        )

    def batch(self, indices: Indices) -> Batch:
        """See `ImageDataset.batch`."""
        index = torch.from_numpy(as_index(indices))
        labels = None if self._labels is None else self._labels[index]
        missing = index if self._cache is None else index[~self._cached[index]].unique()
        with ThreadPoolExecutor(THREADS) as pool:
            decoded = list(pool.map(self._decode, missing.tolist()))
        fresh = torch.stack(decoded) if decoded else torch.empty((0, *self.spec.shape), dtype=torch.uint8)
        if self._cache is None:
            return Batch(fresh, labels)
        self._cache[missing] = fresh
        self._cached[missing] = True
        return Batch(self._cache[index], labels)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the files (see `FileSource.fingerprint`), the labels and the decoded shape."""
        labels = None if self._labels is None else self._labels.tolist()
        files = self._source.fingerprint(self._paths)
        return digest([files, labels, self.spec.classes, list(self.spec.shape)])

    @property
    def content(self) -> str:
        """See `ImageDataset.content` and `FileSource.content`."""
        return self._source.content(self._paths)
