"""Texture: the distance of mean statistics of wavelet sub-bands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap

MOST = 50_000
LEAST_UNIT = 0.01  # lower limit of the standard deviation, for statistics that hardly vary over real images

Means = NDArray[np.float64]


class Texture(Metric):
    """Distance of mean wavelet texture statistics.

    The distance between the mean textures of synthetic and real images, in standard deviations of real images. An
    image's statistics are those of Portilla and Simoncelli (2000), as defined in
    `extractors.texture_statistics.TextureStatistics`. The difference of means of each statistic is divided by
    its standard deviation over reference images. `texture_marginal` and `texture_cross` are the root mean squares over
    the marginal and the cross-band statistics, and `texture` is the root mean square of the two. A value of 1 is the
    distance of a typical real image from the mean. Two sets of n and m real images differ by about sqrt(1/n + 1/m): see
    the `real` row.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("texture", "low", "distance of mean wavelet statistics, in standard deviations over real images"),
        Column("texture_marginal", "low", "the marginal part: variance, skewness and kurtosis of sub-bands"),
        Column("texture_cross", "low", "the cross part: correlations between sub-bands and between colour channels"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"v1, at most {MOST} images"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"texture", "texture_marginal", "texture_cross"}, each with its interval over synthetic images.

        Raises:
            MissingScore: images are too small, or there are fewer than 2 reference images.
        """
        from dpbench.metrics.extractors.texture_statistics import marginal_count

        synthetic, reference = (features.at_most(MOST) for features in evaluation.features("texture"))  # [n, d] each
        if len(reference) < 2:
            raise MissingScore("a standard deviation needs at least 2 reference images")
        unit = np.maximum(reference.std(0, ddof=1, dtype=np.float64), LEAST_UNIT)
        deviations = (synthetic - reference.mean(0, dtype=np.float64)) / unit
        count, generator = marginal_count(evaluation.spec), evaluation.run.generator
        distances = {"texture": _both, "texture_marginal": _marginal, "texture_cross": _cross}
        return {
            column: bootstrap.of_means(partial(distance, count), deviations, generator)
            for column, distance in distances.items()
        }


def _marginal(count: int, means: Means) -> Means:
    return np.sqrt(np.square(means[:, :count]).mean(1))


def _cross(count: int, means: Means) -> Means:
    return np.sqrt(np.square(means[:, count:]).mean(1))


def _both(count: int, means: Means) -> Means:
    return np.hypot(_marginal(count, means), _cross(count, means)) / np.sqrt(2)
