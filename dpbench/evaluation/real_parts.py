"""Real images that the `real` row scores as if they were synthetic: they are taken out of a split."""

from __future__ import annotations

import numpy as np

from dpbench.core.data import ImageDataset
from dpbench.evaluation.image_part import ImagePart
from dpbench.evaluation.labels import labels_of
from dpbench.evaluation.stratified import stratified_order


def part_and_rest(whole: ImageDataset, most: int) -> tuple[ImageDataset, ImageDataset]:
    """At most `most` images of a split (but no more than half of it), and all other images.

    Both parts have the class proportions of the whole, ± 1 image, and are the same each time.

    Args:
        whole: the split, at least 2 images.
        most: at least 1.
    """
    order = stratified_order(labels_of(whole), len(whole))
    count = min(most, len(whole) // 2)
    return ImagePart(whole, np.sort(order[:count])), ImagePart(whole, np.sort(order[count:]))


def never_scored(train: ImageDataset) -> ImageDataset:
    """The half of the train split that no `real` row scores, whatever its number of images.

    Args:
        train: the split, or the rest that a `real` row leaves of it.
    """
    whole = whole_of(train)
    return part_and_rest(whole, len(whole))[1]


def whole_of(images: ImageDataset) -> ImageDataset:
    """The set that `images` are a part of, or `images` themselves."""
    return images.whole if isinstance(images, ImagePart) else images
