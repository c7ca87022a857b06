"""CMMD, a distance of CLIP embeddings that assumes no Gaussians (Jayasumana et al., arXiv 2401.09603)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.features import Array
from dpbench.metrics.statistics.mmd import mmd

SIGMA = 10
SCALE = 1000
MOST = 10_000


class CLIPMaximumMeanDiscrepancy(Metric):
    """Squared MMD of CLIP embeddings of unit length with the kernel exp(-|x - y|² / 2σ²), σ = 10, times 1,000.

    All pairs count (V-statistic), as in the authors' code, so that it is above 0 for two sets of one distribution and
    falls with the number of images.
    """

    columns: ClassVar[tuple[Column, ...]] = (Column("cmmd", "low", "MMD of CLIP embeddings, times 1000"),)
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"at most {MOST} images"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"cmmd": value}.

        Raises:
            MissingScore: a feature is not finite.
        """
        synthetic, reference = (_directions(features.at_most(MOST)) for features in evaluation.features("clip"))
        value, influences = mmd(synthetic, reference, _gaussian, unbiased=False)
        return {"cmmd": bootstrap.around(SCALE * value, SCALE * influences.numpy(), evaluation.run.generator)}


def _gaussian(products: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The kernel minus 1, which MMD does not see: for small distances it keeps the digits."""
    return torch.expm1((products - x / 2 - y / 2) / SIGMA**2)


def _directions(embeddings: Array) -> Array:
    with np.errstate(invalid="ignore"):  # an embedding of zeros has none: not finite, which `mmd` reports
        return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
