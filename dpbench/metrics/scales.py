"""Fréchet distance per scale: separates errors of the coarse image from errors of the detail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.metrics.frechet_columns import HALVES, frechet_columns

BLOCK = 16
"""Height and width of the parts of a band, unless a packet is larger."""


class FrechetPerScale(Metric):
    """Fréchet distance of each scale of the Haar transform.

    The scales are the coarse band of the 2-level transform, the details of level 2 and the details of level 1. Images
    are in [0, 1] and the transform is orthonormal, so all three have the same unit. A band's distance is a sum over its
    coefficients, divided neither by their number nor by their variance: compare a column only with itself and with the
    `real` row. The value of a detail level is the mean over its three orientations.

    Up to 32 x 32 pixels, one Gaussian is fitted to each band with all its channels. A larger band (above 16 x 16) is
    split by further packet levels into parts of at most 16 x 16 coefficients per channel, whose distances are added.
    This neglects correlations between the parts, and limits covariances to 256 or 768 dimensions. If the size of a
    packet is odd, it cannot be split further: at 100 x 100 pixels, parts have 25 x 25 coefficients per channel, which
    means 625 or 1,875 dimensions. No part is larger than 31 x 31.

    The bands are computed from the wavelet packets, of which they are rotations (see `extractors.packets`).
    """

    columns: ClassVar[tuple[Column, ...]] = (
        *frechet_columns("fd_coarse", "Fréchet distance of the coarse Haar band (a quarter of the resolution)"),
        *frechet_columns(
            "fd_detail2", "Fréchet distance of the coarser Haar details (level 2), mean over orientations"
        ),
        *frechet_columns("fd_detail1", "Fréchet distance of the finest Haar details (level 1), mean over orientations"),
    )
    protocol: ClassVar[str] = f"v2, {HALVES}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{column: value, ...} of all columns, in squared coefficients of images in [0, 1].

        Raises:
            MissingScore: the resolution does not allow two Haar levels or has no wavelet packets, there are fewer than
                four images, or no convergence.
        """
        from dpbench.metrics.extractors.packets import packet_level
        from dpbench.metrics.statistics import frechet
        from dpbench.metrics.statistics.gaussians import Groups

        resolution, level = evaluation.spec.resolution, packet_level(evaluation.spec.resolution)
        if level < 2:
            raise MissingScore(f"two Haar levels need a multiple of 4 of at least 28 pixels, not {resolution}")
        synthetic, reference = evaluation.features("wavelet-packet")  # [n, 4^level, coefficients] each

        def bands(name: str, depth: int, chosen: range) -> dict[str, Estimate]:
            """Mean distances of the sub-bands `chosen` (0 is LL) of the Haar transform of `depth` levels."""
            packets = 4 ** (level - depth)
            rows = slice(chosen.start * packets, chosen.stop * packets)
            parts = Groups(_together(packets, resolution >> level), rows)
            return frechet.estimates(name, synthetic, reference, parts, evaluation.run.generator, 1 / len(chosen))

        return {
            **bands("fd_coarse", 2, range(1)),
            **bands("fd_detail2", 2, range(1, 4)),
            **bands("fd_detail1", 1, range(1, 4)),
        }


def _together(packets: int, size: int) -> int:
    """How many packets make up a part of at most BLOCK x BLOCK of a band; 1 if a packet is larger.

    Args:
        packets: number of packets in the band.
        size: height and width of a packet.
    """
    together = 1
    while together < packets and 2 * size <= BLOCK:
        together, size = 4 * together, 2 * size
    return together
