"""Labels of a set of images, read in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dpbench.core.data import ImageDataset

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 1024


def labels_at(images: ImageDataset, indices: Sequence[int]) -> Tensor | None:
    """The labels of the images at `indices`, int64 [len(indices)] on the CPU, or None if the images have no labels."""
    import torch  # imported here, so that metrics can be imported without torch

    parts = [images.batch(indices[start : start + BATCH]).labels for start in range(0, len(indices), BATCH)]
    labels = [part.cpu() for part in parts if part is not None]
    return torch.cat(labels) if labels else None
