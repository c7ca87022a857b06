"""The Kernel Inception Distance (Bińkowski et al., arXiv 1801.01401)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap

SUBSETS = 100
SIZE = 1000


class KernelInceptionDistance(Metric):
    """Kernel Inception Distance to the test split (KID).

    The unbiased squared MMD of Inception features with the kernel (x·y / d + 1)³, averaged over random subsets. As
    published, and as in clean-fid and torch-fidelity, there are 100 subsets of 1,000 images of each set, drawn without
    replacement; if a set is smaller, the subsets have its size. Unlike FID, its expectation does not depend on the
    number of images, and it may be slightly below 0.
    """

    columns: ClassVar[tuple[Column, ...]] = (Column("kid", "low", "Kernel Inception Distance to the test split"),)
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"v1, {SUBSETS} subsets of at most {SIZE} images"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"kid": value}, without a scaling factor.

        Raises:
            MissingScore: fewer than two images, or a feature that is not finite.
        """
        from dpbench.metrics.statistics.mmd import cubic, mmd_of_subsets

        synthetic, reference = evaluation.features("inception")
        size = min(SIZE, len(synthetic), len(reference))
        if size < 2:
            raise MissingScore(f"an unbiased kernel distance needs at least 2 images, not {size}")
        generator = evaluation.run.generator
        value, influences = mmd_of_subsets(synthetic, reference, cubic(synthetic.size), SUBSETS, size, generator)
        return {"kid": bootstrap.around(value, influences, generator)}
