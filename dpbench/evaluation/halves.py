"""The two halves of the test split, one of which the `real` row scores as if it were synthetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dpbench.core.data import ImageDataset
from dpbench.core.files import digest
from dpbench.core.specs import Batch
from dpbench.evaluation.labels import labels_of

SEED = 0
PROTOCOL = "halves of test drawn by class, seed 0"
"""What scores depend on that compare the halves."""


def halves(whole: ImageDataset) -> tuple[ImageDataset, ImageDataset]:
    """Two halves of a split, drawn at random with a fixed seed, with equally many images of each class (± 1).

    The positions of classes in the split do not matter: of a split whose labels alternate, even and odd positions would
    be different classes.
    """
    order = np.random.default_rng(SEED).permutation(len(whole))
    labels = labels_of(whole)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    return _Half(whole, np.sort(order[::2])), _Half(whole, np.sort(order[1::2]))


class _Half(ImageDataset):
    def __init__(self, whole: ImageDataset, positions: NDArray[np.int64]):
        self.spec = whole.spec
        self._whole, self._positions = whole, positions

    def __len__(self) -> int:
        return len(self._positions)

    def batch(self, indices: Sequence[int]) -> Batch:
        return self._whole.batch(self._positions[np.asarray(indices, dtype=np.int64)].tolist())

    @property
    def fingerprint(self) -> str:
        return digest([self._whole.fingerprint, "half", self._positions.tolist()])
