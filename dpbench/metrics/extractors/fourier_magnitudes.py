"""Magnitudes of an image's low spatial frequencies: near copies of an image have nearly the same magnitudes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Evaluation, Extractor

if TYPE_CHECKING:
    from torch import Tensor

FREQUENCIES = 5  # 0 to 4 cycles per image, in each direction
FLAT = 10 / 255  # added to the contrast, so that the noise of images without contrast is not amplified


class FourierMagnitudes(Extractor):
    """Magnitudes of low spatial frequencies.

    The mean over pixels and channels is subtracted, the image is divided by its standard deviation (plus 10 grey
    levels), and the magnitudes of the frequencies from 0 to 4 cycles per image are taken: float32 [b, 2, c · 25].

    The features hardly change with brightness, contrast, noise (mostly at high frequencies) and shifts by a few pixels:
    shifts only change phases, except at the edges. In a mirror image, the magnitudes at (u, v) and (u, -v) are
    exchanged. The first part is their sum divided by √2, which does not change; the second is their difference divided
    by √2, which changes sign (see `statistics.nearest`).

    Raises:
        MissingScore: the resolution is below 8.
    """

    description = f"fourier magnitudes below {FREQUENCIES} cycles"

    def __init__(self, evaluation: Evaluation):
        super().__init__(evaluation)
        if self.spec.resolution < 8:
            raise MissingScore(f"fourier magnitudes need a resolution of at least 8, not {self.spec.resolution}")

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> float32 [b, 2, c · 25]."""
        import torch

        x = images.float() / 255
        mean, contrast = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
        x = (x - mean) / (contrast + FLAT)
        waves = torch.fft.fft(torch.fft.rfft(x, norm="ortho")[..., :FREQUENCIES], dim=-2, norm="ortho").abs()
        there = waves[..., :FREQUENCIES, :]  # vertical frequencies 0, 1, ... 4
        back = torch.cat([waves[..., :1, :], waves[..., 1 - FREQUENCIES :, :].flip(-2)], dim=-2)  # 0, -1, ... -4
        return torch.stack([(there + back).flatten(1), (there - back).flatten(1)], 1) / 2**0.5
