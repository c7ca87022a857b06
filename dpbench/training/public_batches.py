"""Random batches of public images, scaled to [-1, 1] and augmented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch
from dpbench.models.image_range import unit_images
from dpbench.training.augmentation import AUGMENTATIONS, Augmentation

Draw = Callable[[int], tuple[Tensor, Tensor | None]]
"""Number of images -> (float images [b, c, h, w] in [-1, 1], their conditions, such as int64 labels [b], or None)."""


class PublicBatches:
    """Random batches of a public dataset.

    Args:
        dataset: public images.
        augmentation: see `AUGMENTATIONS`.
        device: device of the batches.
        generator: source of the choice of records and of the augmentations (CPU).
    """

    def __init__(self, dataset: ImageDataset, augmentation: Augmentation, device: str, generator: torch.Generator):
        self._dataset = dataset
        self._augment = AUGMENTATIONS[augmentation]
        self._device = device
        self._generator = generator

    def batch(self, size: int) -> Batch:
        """Draws records with replacement; the images are augmented, float [size, c, h, w] in [-1, 1], on the device."""
        return self.at(torch.randint(len(self._dataset), (size,), generator=self._generator))

    def at(self, indices: Tensor) -> Batch:
        """The records at `indices` (int64 [b]), with images as in `batch`."""
        batch = self._dataset.batch(indices.tolist())
        return replace(batch, images=self._augment(unit_images(batch), self._generator)).to(self._device)

    def draw(self, size: int) -> tuple[Tensor, Tensor | None]:
        """The images and labels (int64 [size] or None) of a random batch; see `batch`."""
        batch = self.batch(size)
        assert batch.images is not None
        return batch.images, batch.labels

    def collect(self, size: int, chunk: int = 500) -> Tensor:
        """Draws `size` images in chunks: float [size, c, h, w] in [-1, 1]."""
        return torch.cat([self.draw(min(chunk, size - done))[0] for done in range(0, size, chunk)])
