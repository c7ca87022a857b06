"""The radially averaged power spectrum of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Evaluation, Extractor

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1 / (12 * 255**2)  # power of the rounding to 256 levels; the spectrum of a constant image


class PowerSpectrum(Extractor):
    """Radially averaged power spectrum.

    Power in decibels at spatial frequencies 1, 2, ... cycles per image: float32 [b, radii].

    After Durall et al. (arXiv 2003.01826) and Dzanic et al. (arXiv 1911.06465): the logarithm of the power of the
    two-dimensional Fourier transform, averaged over colour channels and over the frequencies of a ring (those whose
    distance from zero rounds to its radius, up to the corners at √2 times the Nyquist frequency). Unlike there, the
    image's mean is first subtracted, and a Hann window is applied. Otherwise, the step between opposite edges would add
    power at all frequencies, more than many images have at high frequencies.

    The scale is that of variance: white noise of variance v (of images in [0, 1]) has 10 log10 v at every radius.
    Without the logarithm, the average over all frequencies is the window-weighted variance (Parseval). The power of
    rounding to 256 levels is added, so that the spectrum of constant images is finite.

    Raises:
        MissingScore: the resolution is below 8.
    """

    description = "power spectrum, hann window"

    def __init__(self, evaluation: Evaluation):
        import torch

        super().__init__(evaluation)
        size = self.spec.resolution
        if size < 8:
            raise MissingScore(f"a spectrum needs a resolution of at least 8, not {size}")
        window = torch.hann_window(size, dtype=torch.float64)
        self.window = window[:, None] * window
        self.rings = rings(size)

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> float32 [b, radii]."""
        import torch

        window, x = self.window.to(images.device, torch.float32), images.float() / 255
        x = window * (x - (window * x).sum((-2, -1), keepdim=True) / window.sum())
        power = torch.fft.fft2(x).abs().square().mean(1) / window.square().sum()  # [b, h, w]
        return 10 * (power.flatten(1) @ self.rings.to(power) + ROUNDING).log10()


def rings(size: int) -> Tensor:
    """Weights that average the frequencies of each radius, without frequency zero: float64 [size², radii]."""
    import torch

    frequency = torch.fft.fftfreq(size, dtype=torch.float64) * size
    radius = torch.hypot(frequency[:, None], frequency).round().long().flatten()
    members = torch.nn.functional.one_hot(radius).double()[:, 1:]
    return members / members.sum(0)
