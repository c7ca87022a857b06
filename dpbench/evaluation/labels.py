"""The labels of a set of images, read in batches."""

from __future__ import annotations

import numpy as np

from dpbench.core.data import ImageDataset
from dpbench.evaluation.stratified import Indices

BATCH = 1024


def labels_of(images: ImageDataset) -> Indices | None:
    """The class of each image, int64 [n], or None if the images have no labels."""
    if not images.spec.classes:
        return None
    starts = range(0, len(images), BATCH)
    parts = [images.batch(range(start, min(start + BATCH, len(images)))).labels for start in starts]
    labels = [part.cpu().numpy() for part in parts if part is not None]
    return np.concatenate(labels) if labels else None
