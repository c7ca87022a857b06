"""CMMD, a distance of CLIP embeddings without a Gaussian assumption (Jayasumana et al., arXiv 2401.09603)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.metrics.statistics.directions import directions

SIGMA = 10
SCALE = 1000
MOST = 10_000


class CLIPMaximumMeanDiscrepancy(Metric):
    """Maximum mean discrepancy of CLIP embeddings (CMMD).

    The squared MMD of unit-norm embeddings with the kernel exp(-|x - y|² / 2σ²), σ = 10, times 1,000. It is the
    V-statistic, over all pairs, as in the authors' code: it is above 0 for two samples of the same distribution, and
    falls with the number of images.
    """

    columns: ClassVar[tuple[Column, ...]] = (Column("cmmd", "low", "MMD of CLIP embeddings, times 1000"),)
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"v2, at most {MOST} images"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"cmmd": value}, at least 0.

        Raises:
            MissingScore: a feature is not finite.
        """
        from dpbench.metrics.statistics.mmd import gaussian, mmd

        synthetic, reference = (directions(features.at_most(MOST)) for features in evaluation.features("clip", MOST))
        value, influences = mmd(synthetic, reference, gaussian(SIGMA), unbiased=False)
        return {"cmmd": bootstrap.around(SCALE * value, SCALE * influences.numpy(), evaluation.run.generator)}
