"""Images as vectors of pixels, and their nearest neighbours among other images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dpbench.evaluation.features import Array, Features
from dpbench.evaluation.stratified import Indices, stratified_order
from dpbench.metrics.extractors.packets import packet_level
from dpbench.metrics.statistics.nearest import nearest, parts_of

BLOCK = 2500  # images whose block means are read at the same time: 30 MB in colour


class PixelVectors:
    """A set of images as vectors whose Euclidean distances equal those of the pixels or of block means.

    Args:
        packets: the `wavelet-packet` features of the images, a rotation of the pixels.
        resolution: height and width of the images.
        size: larger images are represented by block means, of at most this height and width.
        parts: maximum number of parts that the set is split into.
    """

    def __init__(self, packets: Features, resolution: int, size: int, parts: int):
        self._packets, self._most_parts = packets, parts
        halvings = 0
        while resolution >> halvings > size and halvings < packet_level(resolution):
            halvings += 1
        self._low = slice(packets.shape[0] >> 2 * halvings)  # the first packets are a rotation of the low band

    def __len__(self) -> int:
        return len(self._packets)

    def blocks(self) -> Iterator[Array]:
        """All vectors in order, in blocks: float32 [b, d]. Only what they consist of is read."""
        if self._low.stop == self._packets.shape[0]:
            return (block.reshape(len(block), -1) for block in self._packets.blocks())
        return (self.rows(np.arange(start, min(start + BLOCK, len(self)))) for start in range(0, len(self), BLOCK))

    def rows(self, indices: Indices) -> Array:
        """The vectors at `indices`: float32 [b, d]."""
        return self._packets.rows(indices, self._low).reshape(len(indices), -1)

    def at_most(self, most: int) -> Array:
        """The vectors of at most `most` images, see `Features.part`: float32 [b, d]."""
        return self.rows(self._packets.part(most))

    def distances_from(self, x: Array, exclude: Indices | None = None, enough: Array | None = None) -> Array:
        """For each row of x [q, d], the distance to the nearest image except `exclude`: [q].

        Where an image is nearer than `enough` [q], the distance may be that to another such image; see `nearest`.
        """
        (found,) = nearest(x, self.blocks(), np.zeros(len(self), dtype=np.int64), exclude, enough)
        return np.linalg.norm(x - self.rows(found), axis=1)

    def parts(self, size: int) -> int:
        """Number of parts of `size` images that the set is split into."""
        return min(len(self) // size, self._most_parts)

    def nearest_in_parts(self, x: Array, size: int) -> tuple[Indices, Array]:
        """For each row of x [q, d], the nearest image and its distance in each part of `size` images: [parts, q] each.

        Remaining images form one more part at the end.
        """
        order = stratified_order(self._packets.labels, len(self))
        found = nearest(x, self.blocks(), parts_of(order, size, self.parts(size)))
        return found, np.stack([np.linalg.norm(x - self.rows(part), axis=1) for part in found])
