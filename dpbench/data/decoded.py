"""A split of image files, decoded when a batch is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import torch
from PIL import Image

from dpbench.core.closure import code_hash
from dpbench.core.files import digest
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.data.arrays import Indices, as_index, condition_tensor, content_hash
from dpbench.data.image_files import FileSource
from dpbench.data.pixels import MODE, decode, unchanged
from dpbench.data.resized_copy import SlowSplit

CACHE_BYTES = 512 * 2**20  # splits up to this size stay decoded in memory
THREADS = min(8, os.cpu_count() or 1)


class DecodedDataset(SlowSplit):
    """The files at `paths` of a source as a split.

    Decoded images are kept in memory if the whole split takes at most `CACHE_BYTES`, unless `keep` is False.

    Args:
        spec: declaration of the split, with the channels and resolution to decode to.
        source: the files.
        paths: the records' relative paths.
        condition: a class number or a text for each path, or None, as the spec declares.
        prepare: applied to each decoded image before it is resized.
        keep: whether decoded images may be kept in memory.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        source: FileSource,
        paths: Sequence[str],
        condition: Sequence[int] | Sequence[str] | None,
        prepare: Callable[[Image.Image], Image.Image] = unchanged,
        keep: bool = True,
    ):
        self.spec = spec
        self._source = source
        self._paths = list(paths)
        self.condition = condition_tensor(condition, len(self._paths), spec)
        self._prepare = prepare
        fits = keep and len(self._paths) * int(np.prod(spec.shape)) <= CACHE_BYTES
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
        condition = None if self.condition is None else self.condition[index]
        missing = index if self._cache is None else index[~self._cached[index]].unique()
        with ThreadPoolExecutor(THREADS) as pool:
            decoded = list(pool.map(self._decode, missing.tolist()))
        fresh = torch.stack(decoded) if decoded else torch.empty((0, *self.spec.shape), dtype=torch.uint8)
        if self._cache is None:
            return Batch(fresh, condition)
        self._cache[missing] = fresh
        self._cached[missing] = True
        return Batch(self._cache[index], condition)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the files (see `FileSource.fingerprint`), the labels or captions, and the decoded shape."""
        condition: list[int] | str | None = None
        if self.condition is not None:
            is_text = bool(self.spec.caption_bytes)
            condition = content_hash(self.condition.numpy()) if is_text else self.condition.tolist()
        files = self._source.fingerprint(self._paths)
        return digest([files, condition, self.spec.classes, list(self.spec.shape)])

    @property
    def images_key(self) -> str:
        """See `SlowSplit.images_key`."""
        files = self._source.fingerprint(self._paths)
        return digest([files, list(self.spec.shape), code_hash(decode, self._prepare)])

    @property
    def content(self) -> str:
        """See `ImageDataset.content` and `FileSource.content`."""
        return self._source.content(self._paths)
