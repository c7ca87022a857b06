"""Fréchet distance per scale: where a generator loses, in the coarse image or in the detail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from dpbench.core.errors import MissingScore
from dpbench.core.plugins import Column, Evaluation, Metric
from dpbench.metrics.extractors.packets import packet_level
from dpbench.metrics.features import Array, Features
from dpbench.metrics.frechet import frechet_distance

BLOCK = 16  # pixels; a Gaussian is fitted to at most BLOCK x BLOCK coefficients per channel


class FrechetPerScale(Metric):
    """Fréchet distances of the 2-level Haar transform: the coarse band, and the details of level 2 and of level 1.

    Images are in [0, 1] and the transform is orthonormal, so the three are in one unit and a band's distance adds up
    over its coefficients (it is neither divided by their number nor by their variance: compare a column with itself
    and with the `real` row). A detail level's value is the mean over its three orientations.

    Up to 32 x 32 pixels one Gaussian is fitted to each band with all its channels. A larger band (above 16 x 16) is
    split by further packet levels into parts of at most 16 x 16 coefficients per channel, whose distances are added;
    this neglects correlations between the parts and keeps covariances at 256 or 768 dimensions.

    The bands are read from the wavelet packets, of which they are rotations (see `features.WaveletPackets`).
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("fd_coarse", "low", "Fréchet distance of the coarse Haar band (a quarter of the resolution)"),
        Column("fd_detail2", "low", "Fréchet distance of the coarser Haar details (level 2), mean over orientations"),
        Column("fd_detail1", "low", "Fréchet distance of the finest Haar details (level 1), mean over orientations"),
    )

    def compute(self, evaluation: Evaluation) -> Mapping[str, float]:
        """{"fd_coarse": ..., "fd_detail2": ..., "fd_detail1": ...}, squared coefficients of images in [0, 1]."""
        resolution, level = evaluation.spec.resolution, packet_level(evaluation.spec.resolution)
        if level < 2:
            raise MissingScore(f"two Haar levels need a resolution of at least 28 that 4 divides, not {resolution}")
        synthetic, reference = evaluation.features("wavelet-packet")  # [n, 4^level, coefficients] each

        def band(depth: int, index: int) -> float:
            """Distance of sub-band `index` (0 is LL) of the Haar transform of `depth` levels."""
            packets = 4 ** (level - depth)
            rows = slice(index * packets, (index + 1) * packets)
            return _summed(synthetic, reference, rows, packet_size=resolution >> level)

        return {
            "fd_coarse": band(2, 0),
            "fd_detail2": float(np.mean([band(2, k) for k in (1, 2, 3)])),
            "fd_detail1": float(np.mean([band(1, k) for k in (1, 2, 3)])),
        }


def _summed(x: Features, y: Features, rows: slice, packet_size: int) -> float:
    """Sum of the distances of the parts of one band: the packets `rows` of [n, packets, d], neighbours put together."""
    together, size = 1, packet_size
    while together < rows.stop - rows.start and 2 * size <= BLOCK:
        together, size = 4 * together, 2 * size

    def parts(features: Features) -> Iterator[Array]:
        for block in features.blocks():
            yield block[:, rows].reshape(len(block), (rows.stop - rows.start) // together, -1)

    return float(frechet_distance(parts(x), parts(y)).sum())
