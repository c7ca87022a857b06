"""The Fréchet Wavelet Distance (Veeramacheneni, Wolter, Kuehne, Gall: arXiv 2312.15289, ICLR 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.metrics.frechet_columns import HALVES, frechet_columns


class FrechetWaveletDistance(Metric):
    """Fréchet Wavelet Distance: mean over Haar packets.

    The Fréchet distance of each Haar wavelet packet's coefficients, averaged over the packets; needs no network. As
    published and as in the authors' package `pytorchfwd`: images in [0, 1], Haar packets in natural order without
    log scaling, a packet's coefficients of all channels flattened into one vector, unbiased covariances, and an
    unweighted mean of the squared distances.

    There are three differences. The level depends on the resolution: the authors use 4 for 256 x 256 (packets of 16 x
    16) and give no rule for other sizes. Here packets have at least 7 x 7 pixels, which means level 2 for 28 and 32, 3
    for 64, and 4 from 128 to 256. Larger images have packets of at most 16 x 16 pixels where their size can be halved
    often enough: level 5 for 512 (`pytorchfwd` gives the same value with this `--max_level`). A size that cannot be
    halved to packets of at most 32 x 32 has no distance (see `extractors.packets`). Grey images have one channel:
    `pytorchfwd` repeats it three times, so its value is three times this one. The trace of the matrix square root is
    computed without SciPy's `sqrtm` (see `statistics.frechet`).
    """

    columns: ClassVar[tuple[Column, ...]] = frechet_columns("fwd", "Fréchet Wavelet Distance, mean over Haar packets")
    protocol: ClassVar[str] = f"v2, {HALVES}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"fwd": ..., "fwd_inf": ...}, in squared Haar coefficients of images in [0, 1]; 0 for equal statistics.

        Raises:
            MissingScore: the resolution has no wavelet packets, there are fewer than four images, or no convergence.
        """
        from dpbench.metrics.statistics import frechet
        from dpbench.metrics.statistics.gaussians import EACH

        synthetic, reference = evaluation.features("wavelet-packet")  # [n, packets, coefficients] each
        packets, _ = synthetic.shape
        return frechet.estimates("fwd", synthetic, reference, EACH, evaluation.run.generator, 1 / packets)
