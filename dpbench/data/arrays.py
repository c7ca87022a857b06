"""Splits that need no files of their own: an array in memory, a subset of a split, a split with converted images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.core.captions import encode_captions
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.files import digest
from dpbench.core.specs import Batch, DatasetSpec

HASHED_BYTES = 2**24
"""Bytes of an array that are hashed at a time."""

Indices = Sequence[int] | Tensor | NDArray[np.integer]
"""Record numbers as `batch` accepts them."""


def as_index(indices: Indices) -> NDArray[np.int64]:
    """Record numbers as an int64 array [b], in the order given.

    Raises:
        TypeError: the indices are not integers (a boolean mask is also refused).
    """
    array = np.asarray(indices.cpu().numpy() if isinstance(indices, Tensor) else indices)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"record indices must be integers, not {array.dtype}")
    return array.reshape(-1).astype(np.int64)


class ArrayDataset(ImageDataset):
    """A split in one array, which may be memory-mapped; a batch copies its records out of the array.

    Args:
        spec: declaration of the split; `spec.shape` is the shape of one image.
        images: uint8 [n, c, h, w].
        condition: labels, whole numbers [n] in [0, n_classes), if the spec declares classes; n texts if it declares
            captions; otherwise None.
        fingerprint: see `ImageDataset.fingerprint`; by default a hash of the arrays' content.

    Raises:
        DataError: the arrays contradict the spec or each other.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        images: NDArray[np.uint8] | Tensor,
        condition: NDArray[np.integer] | Tensor | Sequence[str] | None,
        fingerprint: str | None = None,
    ):
        self.spec = spec
        self._images = images.cpu().numpy() if isinstance(images, Tensor) else images
        if self._images.dtype != np.uint8 or self._images.shape[1:] != spec.shape:
            found = f"{self._images.dtype} {list(self._images.shape)}"
            raise DataError(
                f"images of '{spec.name}' must be uint8 [n, {', '.join(map(str, spec.shape))}], not {found}"
            )
        self._condition = condition_tensor(condition, len(self._images), spec)
        self._fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, indices: Indices) -> Batch:
        """See `ImageDataset.batch`."""
        index = as_index(indices)
        condition = None if self._condition is None else self._condition[torch.from_numpy(index)]
        return Batch(torch.from_numpy(np.array(self._images[index])), condition)

    @cached_property
    def fingerprint(self) -> str:
        """See `ImageDataset.fingerprint`."""
        if self._fingerprint is not None:
            return self._fingerprint
        condition = None if self._condition is None else content_hash(self._condition.numpy())
        return digest([self.spec.classes, list(self._images.shape), content_hash(self._images), condition])


def condition_tensor(condition: Indices | Sequence[str] | None, images: int, spec: DatasetSpec) -> Tensor | None:
    """`Batch.condition` for a whole split: int64 [n], uint8 [n, spec.caption_bytes] or None.

    Args:
        condition: labels, texts or None, as the spec declares.
        images: n.
        spec: declaration of the split.

    Raises:
        DataError: the condition contradicts the spec or the number of images.
    """
    if (condition is None) != (spec.classes is None and not spec.caption_bytes):
        raise DataError(f"'{spec.name}' must have labels if and only if it declares classes, and likewise captions")
    if condition is None:
        return None
    kind = "captions" if spec.caption_bytes else "labels"
    if len(condition) != images:
        raise DataError(f"'{spec.name}' has {images} images but {len(condition)} {kind}")
    if spec.caption_bytes:
        return encode_captions(cast("Sequence[str]", condition), spec.caption_bytes)
    labels = as_index(cast(Indices, condition))
    if ((labels < 0) | (labels >= spec.n_classes)).any():
        raise DataError(f"'{spec.name}' has labels outside [0, {spec.n_classes})")
    return torch.from_numpy(labels)


def content_hash(array: NDArray[np.generic]) -> str:
    """Hexadecimal SHA-256 of an array's bytes in C order; a large array need not be contiguous or in memory."""
    found = hashlib.sha256()
    for block in np.array_split(np.atleast_1d(array), 1 + array.nbytes // HASHED_BYTES):
        found.update(np.ascontiguousarray(block).data)
    return found.hexdigest()


class Subset(ImageDataset):
    """The records of another split at `indices`, in that order (a hold-out, a shard, a half).

    Args:
        dataset: the split to select from.
        indices: record numbers in `dataset`.
        spec: declaration of the subset; by default that of `dataset`.
    """

    def __init__(self, dataset: ImageDataset, indices: Indices, spec: DatasetSpec | None = None):
        self.spec = spec or dataset.spec
        self._dataset = dataset
        self._index = as_index(indices)

    def __len__(self) -> int:
        return len(self._index)

    def batch(self, indices: Indices) -> Batch:
        """See `ImageDataset.batch`."""
        return self._dataset.batch(self._index[as_index(indices)].tolist())

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the dataset's fingerprint and the indices."""
        return digest(["subset", self._dataset.fingerprint, content_hash(self._index)])

    @property
    def content(self) -> str:
        """See `ImageDataset.content`; a hash of the dataset's content and the set of indices."""
        return digest(["subset", self._dataset.content, content_hash(np.sort(self._index))])


class Part(Subset):
    """A subset on which private runs count as runs on the whole dataset, because they learn from its records."""

    @property
    def content(self) -> str:
        """See `ImageDataset.content`; that of the whole dataset."""
        return self._dataset.content


class Converted(ImageDataset):
    """A split whose images are converted when a batch is read (padding, resizing, colour).

    Args:
        dataset: the split to convert.
        spec: declaration of the converted split.
        change: uint8 [b, *dataset.spec.shape] -> uint8 [b, *spec.shape], each record independently.
        key: name of the change, part of the fingerprint.
    """

    def __init__(self, dataset: ImageDataset, spec: DatasetSpec, change: Callable[[Tensor], Tensor], key: str):
        self.spec = spec
        self._dataset = dataset
        self._change = change
        self._key = key

    def __len__(self) -> int:
        return len(self._dataset)

    def batch(self, indices: Indices) -> Batch:
        """See `ImageDataset.batch`."""
        batch = self._dataset.batch(as_index(indices).tolist())
        return batch if batch.images is None else replace(batch, images=self._change(batch.images))

    @property
    def fingerprint(self) -> str:
        """A hash of the dataset's fingerprint, the name of the change and the new shape."""
        return digest([self._key, self._dataset.fingerprint, list(self.spec.shape)])

    @property
    def content(self) -> str:
        """See `ImageDataset.content`; that of the dataset."""
        return self._dataset.content
