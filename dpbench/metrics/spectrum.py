"""Frequency: the difference of radially averaged power spectra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap

MOST = 50_000


class Spectrum(Metric):
    """Difference of mean log power spectra.

    The root-mean-square difference, in decibels, between the mean log power spectra of synthetic and real images. The
    spectrum of an image (`extractors.power_spectrum.PowerSpectrum`) has one number per radius. The mean over images
    is taken after the logarithm, so that a few images of high contrast do not dominate. 3 dB is a factor of 2 in power.
    After Durall et al. (arXiv 2003.01826) and Dzanic et al. (arXiv 1911.06465), who compare such curves by eye or with
    a classifier.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("spectrum", "low", "difference of radially averaged log power spectra, in decibels, RMS over radii"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"v2, at most {MOST} images"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"spectrum": decibels}, with its interval over synthetic images.

        Raises:
            MissingScore: images are too small.
        """
        synthetic, reference = (features.at_most(MOST) for features in evaluation.features("spectrum"))  # [n, radii]
        return {
            "spectrum": bootstrap.of_means(
                lambda means: np.sqrt(np.square(means).mean(1)),
                synthetic - reference.mean(0, dtype=np.float64),
                evaluation.run.generator,
            )
        }
