"""Real images that the `real` row scores as if they were synthetic: a part of a split, which is then without them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dpbench.core.data import ImageDataset
from dpbench.core.files import digest
from dpbench.core.specs import Batch
from dpbench.evaluation.labels import labels_of
from dpbench.evaluation.stratified import Indices, stratified_order


def part_and_rest(whole: ImageDataset, most: int) -> tuple[ImageDataset, ImageDataset]:
    """At most `most` images of a split, and no more than half of it; and all others.

    Both have the classes in the proportions of the whole, ± 1 image, and are the same each time.

    Args:
        whole: at least 2 images.
        most: at least 1.
    """
    order = stratified_order(labels_of(whole), len(whole))
    count = min(most, len(whole) // 2)
    return _Part(whole, np.sort(order[:count])), _Part(whole, np.sort(order[count:]))


class _Part(ImageDataset):
    def __init__(self, whole: ImageDataset, positions: Indices):
        self.spec = whole.spec
        self._whole, self._positions = whole, positions

    def __len__(self) -> int:
        return len(self._positions)

    def batch(self, indices: Sequence[int]) -> Batch:
        return self._whole.batch(self._positions[np.asarray(indices, dtype=np.int64)].tolist())

    @property
    def fingerprint(self) -> str:
        return digest([self._whole.fingerprint, "part", self._positions.tolist()])
