"""What a person notices about an image besides its content, in just-noticeable differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Evaluation, Extractor
from dpbench.core.specs import DatasetSpec
from dpbench.metrics.extractors.texture_statistics import texture_level

if TYPE_CHECKING:
    from torch import Tensor

COLOUR = 0.02
RATIO = 0.1
SEAM = 0.25
"""Just-noticeable differences in the mean of an image in [0, 1], in the logarithm of a contrast or of a ratio, and in
the logarithm of a seam."""

LUMA_FLOOR, CHROMA_FLOOR = 0.03, 0.06
"""Contrasts (standard deviations of images in [0, 1]) that are barely visible. Chroma is less visible than luma."""

JPEG_BLOCK = 8  # pixels


def group_sizes(spec: DatasetSpec) -> dict[str, int]:
    """Number of statistics of each group, in their order."""
    levels, chroma = texture_level(spec.resolution), spec.channels - 1
    return {
        "colour": 1 + chroma,
        "contrast": 3 * levels + 1 + chroma * (levels + 1),
        "sparsity": 3 * levels,
        "structure": 3 * levels + 9 * (levels - 1),
        "seams": len(periods(spec.resolution)),
    }


def periods(resolution: int) -> list[int]:
    """Widths of the grids that are searched for seams: the divisors of the resolution, and the block of JPEG."""
    return [p for p in range(2, resolution) if resolution % p == 0 or p == JPEG_BLOCK]


class StyleStatistics(Extractor):
    """Statistics of colour, contrast, structure and seams.

    Statistics of images in [0, 1] in just-noticeable differences: float32 [b, d], in the groups of `group_sizes`.

    Colour images are split into luma Y and the chroma B - Y and R - Y (ITU-R 601), and each into undecimated Haar bands
    as in `extractors.texture_statistics`. The contrast of a band is sqrt(v + floor²) with its variance v over positions
    and a floor below which nothing is seen, 0.03 for luma and 0.06 for chroma, so that invisible noise changes little.

    Colour: the mean of each channel, in units of 0.02.

    Contrast: the logarithm of the contrast, in units of 0.1: of each luma band, of the chroma of each level (v is the
    mean over its orientations), and of the low band of each channel.

    Sparsity: (E[|z|]² + 2 floor²/π) / (v + floor²) for each luma band z, in units of 0.1. It is 2/π for noise, and
    smaller for edges on a plain ground.

    Structure: correlations of luma magnitudes between two orientations of one level, and between any two orientations
    of neighbouring levels, in units of 0.1. floor² is added to the variances.

    Seams: the logarithm of (s + floor) / (t + floor), in units of 0.25. s is the mean difference of neighbouring pixels
    across the lines of a grid, and t is the mean difference of all other neighbours. There is one value for each grid
    of `periods`.

    The statistics are after Portilla and Simoncelli (2000), the seams after Wang, Sheikh and Bovik (No-reference
    perceptual quality assessment of JPEG compressed images, 2002). Units and floors were chosen with distorted train
    images of CIFAR-10 and COCO.

    Raises:
        MissingScore: the resolution is below 9.
    """

    batch = 32  # sub-bands of more images do not fit into a processor's cache

    def __init__(self, evaluation: Evaluation):
        super().__init__(evaluation)
        self.levels = texture_level(self.spec.resolution)
        if self.spec.resolution <= JPEG_BLOCK:
            raise MissingScore(f"style needs a resolution of at least {JPEG_BLOCK + 1}, not {self.spec.resolution}")
        self.description = f"style statistics, undecimated haar level {self.levels}"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> float32 [b, d]."""
        from dpbench.metrics.extractors.subbands import in_parts

        return in_parts(images, self._statistics)

    def _statistics(self, images: Tensor) -> Tensor:
        import torch

        from dpbench.metrics.extractors.subbands import centred, correlations, neighbouring, pairs, variances
        from dpbench.models.haar import stationary

        x = luma_and_chroma(images.float() / 255)
        banks = stationary(x, self.levels)  # [b, c, 4, h, w] each
        bands = [centred(bank[:, :1, 1:]) for bank in banks]  # luma
        magnitudes = [z.abs() for z in bands]
        powers = [variances(z) for z in bands]  # [b, 1, 3]
        low = variances(centred(banks[-1][:, :, :1])) / 4**self.levels  # [b, c, 1], of images in [0, 1]
        chroma = [variances(bank[:, 1:, 1:]).mean(2) for bank in banks]  # [b, c - 1]
        contrast = [
            *(_log_contrast(v, LUMA_FLOOR) for v in (*powers, low[:, :1])),
            *(_log_contrast(v, CHROMA_FLOOR) for v in (*chroma, low[:, 1:])),
        ]
        flat = LUMA_FLOOR**2
        sparsity = [
            (m.mean((-2, -1)).square() + 2 / math.pi * flat) / (v + flat)
            for m, v in zip(magnitudes, powers, strict=True)
        ]
        structure = [
            *(pairs(m, flat) for m in magnitudes),
            *(correlations(fine, above, flat) for fine, above in neighbouring(magnitudes)),
        ]
        groups = (
            [x.mean((-2, -1)) / COLOUR],
            [c / RATIO for c in contrast],
            [s / RATIO for s in sparsity],
            [r / RATIO for r in structure],
            [self._seams(x[:, 0]) / SEAM],
        )
        return torch.cat([s.flatten(1) for group in groups for s in group], dim=1)

    def _seams(self, luma: Tensor) -> Tensor:
        """[b, h, w] -> log ratios of the differences on the lines of a grid and elsewhere: [b, grids]."""
        import torch

        steps = (luma.diff(dim=2).abs().mean(1) + luma.diff(dim=1).abs().mean(2)) / 2  # [b, size - 1]
        position = torch.arange(1, self.spec.resolution, device=luma.device)
        on = torch.stack([(position % p == 0).float() for p in periods(self.spec.resolution)], dim=1)
        across, elsewhere = (steps @ (lines / lines.sum(0)) for lines in (on, 1 - on))
        return ((across + LUMA_FLOOR) / (elsewhere + LUMA_FLOOR)).log()


def luma_and_chroma(x: Tensor) -> Tensor:
    """[b, 3, h, w] RGB -> Y, 0.564 (B - Y), 0.713 (R - Y), as in JPEG; grey images [b, 1, h, w] stay as they are."""
    import torch

    if x.shape[1] == 1:
        return x
    red, green, blue = x.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, 0.564 * (blue - luma), 0.713 * (red - luma)], dim=1)


def _log_contrast(variance: Tensor, floor: float) -> Tensor:
    return (variance + floor**2).log() / 2
