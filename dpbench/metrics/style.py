"""Style: the difference from real images in the distributions of what a person notices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.metrics.extractors.style_statistics import group_sizes
from dpbench.metrics.statistics.energy import relative_energy

MOST = 50_000


class Style(Metric):
    """Difference of the distributions of colour, contrast, structure and seams.

    For each statistic of `extractors.style_statistics.StyleStatistics`, in just-noticeable differences, the energy
    distance (Székely and Rizzo, 2013) of its values x over synthetic and y over real images, as a share:

        (2 E|x - y| - E|x - x'| - E|y - y'|) / (2 E|x - y| + 1)

    It is averaged within each group of statistics, and then over the five groups. 0 means that nothing differs; 1 means
    that everything differs, by more than anyone could overlook. Other real images have a value of about 0, however many
    there are, and sometimes slightly less. Whole distributions are compared, so a collapsed generator is far from 0
    even if its image is typical. Invisible differences count little, due to the added 1 and the floors of contrasts.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("style", "low", "visible difference of colour, contrast, structure and seams; from 0 to 1"),
    )
    protocol: ClassVar[str] = f"v1, at most {MOST} images"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"style": share}, with its interval over synthetic images; the reference images are fixed.

        Raises:
            MissingScore: images are too small, or there are fewer than 2 in a set.
        """
        synthetic, reference = (features.at_most(MOST) for features in evaluation.features("style"))  # [n, d] each
        if min(len(synthetic), len(reference)) < 2:
            raise MissingScore("a style needs at least 2 images in each set")
        sizes = group_sizes(evaluation.spec).values()
        weights = np.repeat([1 / (len(sizes) * size) for size in sizes], list(sizes))
        values, influences = relative_energy(synthetic.astype(np.float64), reference.astype(np.float64), least=1)
        return {"style": bootstrap.around(float(values @ weights), influences @ weights, evaluation.run.generator)}
