"""Texture statistics of wavelet sub-bands, after Portilla and Simoncelli; they do not depend on the layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Evaluation, Extractor
from dpbench.core.specs import DatasetSpec

if TYPE_CHECKING:
    from torch import Tensor

GREY_LEVEL = 1 / 255
FLAT = GREY_LEVEL**2  # added to variances, so that the statistics of constant images are defined


def texture_level(resolution: int) -> int:
    """Number of Haar levels: the largest whose filter covers at most a third of the image; at most 4.

    14 -> 2, 28 and 32 -> 3, from 48 on -> 4.
    """
    return min(4, (resolution // 3).bit_length() - 1)


def marginal_count(spec: DatasetSpec) -> int:
    """Number of marginal statistics: log variance, skewness and kurtosis of each sub-band and channel."""
    return 3 * spec.channels * (3 * texture_level(spec.resolution) + 1)


class TextureStatistics(Extractor):
    """Statistics of wavelet sub-bands.

    Statistics of images in [0, 1]: float32 [b, d], first `marginal_count` marginal statistics, then the cross
    statistics.

    After Portilla and Simoncelli (IJCV 40, 2000), with undecimated Haar bands instead of their steerable pyramid: three
    orientations at each of L = `texture_level` levels, and the low band, all without borders. Averages are over all
    positions of the image, so the statistics do not depend on the layout.

    Marginal statistics of each sub-band and channel: log variance (v + one grey level squared), skewness and kurtosis.
    A few pixels dominate the third and fourth moments of one small image, so bounded counterparts of the deviations z
    from the mean are used: skewness E[z |z|] / v in [-1, 1], and kurtosis E[|z|]² / v in [0, 1], which is 2/π for a
    Gaussian and smaller for heavier tails (Mallat, 1989).

    Cross statistics are correlation coefficients over positions: between the magnitudes of two orientations of one
    level; between the magnitudes of any two orientations of neighbouring levels; and, for colour, between the
    coefficients of two channels of a sub-band. The autocorrelations and pixel ranges of Portilla and Simoncelli are
    left out.

    A constant sub-band has log variance -11; its other statistics are 0.

    Raises:
        MissingScore: the resolution is below 6.
    """

    def __init__(self, evaluation: Evaluation):
        super().__init__(evaluation)
        self.levels = texture_level(self.spec.resolution)
        if self.levels < 1:
            raise MissingScore(f"texture needs a resolution of at least 6, not {self.spec.resolution}")
        self.description = f"texture statistics, undecimated haar level {self.levels}"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> float32 [b, d]."""
        from dpbench.metrics.extractors.subbands import in_parts

        return in_parts(images, self._statistics)

    def _statistics(self, images: Tensor) -> Tensor:
        import torch

        from dpbench.metrics.extractors.subbands import centred, correlations, neighbouring, pairs
        from dpbench.models.haar import stationary

        banks = stationary(images.float() / 255, self.levels)  # [b, c, 4, h, w] each
        details, low = [centred(bank[:, :, 1:]) for bank in banks], centred(banks[-1][:, :, :1])
        bands = [(z, z.abs()) for z in (*details, low)]
        magnitudes = [magnitude for _, magnitude in bands[:-1]]  # [b, c, 3, h, w]
        statistics = [
            *(_marginals(z, magnitude) for z, magnitude in bands),
            *(pairs(m, FLAT) for m in magnitudes),
            *(correlations(fine, above, FLAT) for fine, above in neighbouring(magnitudes)),
            *(pairs(z.transpose(1, 2).contiguous(), FLAT) for z, _ in bands),
        ]
        return torch.cat([s.flatten(1) for s in statistics], dim=1)


def _marginals(z: Tensor, magnitude: Tensor) -> Tensor:
    """[b, c, k, h, w], mean zero over positions, and |z| -> log variance, skewness, kurtosis [b, c, k, 3]."""
    import torch

    from dpbench.metrics.extractors.subbands import covariances, variances

    variance = variances(z) + FLAT
    skewness = covariances(z, magnitude).diagonal(dim1=-2, dim2=-1) / variance
    kurtosis = magnitude.mean((-2, -1)).square() / variance
    return torch.stack([variance.log(), skewness, kurtosis], dim=-1)
