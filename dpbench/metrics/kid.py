"""The Kernel Inception Distance (Bińkowski et al., arXiv 1801.01401)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.metrics.statistics.mmd import mmd

SUBSETS = 100
SIZE = 1000


class KernelInceptionDistance(Metric):
    """Unbiased squared MMD of Inception features with the kernel (x·y / d + 1)³: the mean over random subsets.

    As published and as in clean-fid and torch-fidelity: 100 subsets of 1,000 images of either set, drawn without
    replacement; where a set is smaller, subsets of its size. Unlike FID's, its expectation does not depend on the
    number of images, and it may come out a little below 0.
    """

    columns: ClassVar[tuple[Column, ...]] = (Column("kid", "low", "Kernel Inception Distance to the test split"),)
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"{SUBSETS} subsets of at most {SIZE} images"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"kid": value}, not multiplied by anything.

        Raises:
            MissingScore: fewer than two images, or a feature that is not finite.
        """
        synthetic, reference = evaluation.features("inception")
        generator = evaluation.run.generator
        n, m = len(synthetic), len(reference)
        size = min(SIZE, n, m)
        if size < 2:
            raise MissingScore(f"an unbiased kernel distance needs at least 2 images, not {size}")

        def cubic(products: Tensor, *_: Tensor) -> Tensor:
            return (products.double() / synthetic.size + 1) ** 3

        values, influences = [], np.zeros(n)
        for _ in range(SUBSETS):
            chosen, others = (torch.randperm(count, generator=generator)[:size].numpy() for count in (n, m))
            value, influence = mmd(synthetic.rows(chosen), reference.rows(others), cubic, unbiased=True)
            values.append(value)
            influences[chosen] += influence.numpy() * n / (SUBSETS * size)
        return {"kid": bootstrap.around(float(np.mean(values)), influences, generator)}
