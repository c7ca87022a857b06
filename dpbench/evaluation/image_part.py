"""A part of a set of images, as a set of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dpbench.core.data import ImageDataset
from dpbench.core.files import digest
from dpbench.core.specs import Batch
from dpbench.evaluation.stratified import Indices


class ImagePart(ImageDataset):
    """Some images of a set.

    Attributes:
        whole: the set.
        positions: the images' positions in the set, int64 [n].
    """

    def __init__(self, whole: ImageDataset, positions: Indices):
        self.spec = whole.spec
        self.whole, self.positions = whole, positions

    def __len__(self) -> int:
        return len(self.positions)

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`."""
        return self.whole.batch(self.positions[np.asarray(indices, dtype=np.int64)].tolist())

    @property
    def fingerprint(self) -> str:
        """A hash of the whole set's fingerprint and the positions."""
        return digest([self.whole.fingerprint, "part", self.positions.tolist()])
