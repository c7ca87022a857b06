"""The images and labels that several threads read repeatedly to train and test classifiers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock

import torch
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError

IN_MEMORY = 512 * 2**20
"""Maximum size in bytes of a set of images that is held in memory."""

AT_ONCE = 1000
"""Images to read at once."""


class LabelledImages:
    """A set of labelled images, read once and held in memory; a set above `IN_MEMORY` is read batch by batch.

    Args:
        images: n images with labels, of a dataset with classes.

    Raises:
        DataError: a label is outside the classes. For a set that is not held in memory, `batch` raises the error.
    """

    def __init__(self, images: ImageDataset):
        self._images, self._lock = images, Lock()
        self._held: tuple[Tensor, Tensor] | None = None
        if len(images) * torch.Size(images.spec.shape).numel() <= IN_MEMORY:
            pixels, labels = zip(*self.batches(AT_ONCE), strict=True)
            self._held = torch.cat(pixels), torch.cat(labels)

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, indices: Tensor | Sequence[int]) -> tuple[Tensor, Tensor]:
        """The images at `indices`, uint8 [b, c, h, w], and their labels, int64 [b], on the CPU."""
        index = torch.as_tensor(indices)
        if self._held is not None:
            pixels, labels = self._held
            return pixels[index], labels[index]
        with self._lock:
            batch = self._images.batch(index.tolist())
        assert batch.images is not None
        assert batch.labels is not None
        labels = batch.labels.cpu()
        if labels.min() < 0 or labels.max() >= self._images.spec.n_classes:
            raise DataError(f"{self._images.spec.name} has labels outside 0 to {self._images.spec.n_classes - 1}")
        return batch.images.cpu(), labels

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images and labels in order, in batches of `size`; the last one may be smaller."""
        for start in range(0, len(self), size):
            yield self.batch(range(start, min(start + size, len(self))))
