"""Large public images cut into tiles, to train a convolutional refiner at lower cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dpbench.core.data import ImageDataset
from dpbench.core.files import digest
from dpbench.core.specs import Batch


class Tiles(ImageDataset):
    """Square tiles of another split's images as records, evenly spaced over each image.

    Args:
        dataset: the split to cut into tiles.
        side: height and width of a tile, at most the size of the images; tiles overlap if it does not divide that size.
    """

    def __init__(self, dataset: ImageDataset, side: int):
        whole = dataset.spec.resolution
        starts = np.linspace(0, whole - side, -(-whole // side)).round().astype(int).tolist()
        self._dataset = dataset
        self._side = side
        self._corners = [(top, left) for top in starts for left in starts]
        self.spec = replace(dataset.spec, resolution=side, n_train=len(self))

    def __len__(self) -> int:
        return len(self._dataset) * len(self._corners)

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`."""
        records, tiles = np.divmod(np.asarray(indices, dtype=np.int64), len(self._corners))
        batch = self._dataset.batch(records.tolist())
        assert batch.images is not None
        corners = [self._corners[tile] for tile in tiles]
        cut = [
            image[:, top : top + self._side, left : left + self._side]
            for image, (top, left) in zip(batch.images, corners, strict=True)
        ]
        return replace(batch, images=torch.stack(cut))

    @property
    def fingerprint(self) -> str:
        """A hash of the dataset's fingerprint and the side."""
        return digest(["tiles", self._dataset.fingerprint, self._side])
