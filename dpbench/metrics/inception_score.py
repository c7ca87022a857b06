"""The Inception Score (Salimans et al., arXiv 1606.03498)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.features import finite

SPLITS = 10
ROWS = 500
"""How many images' class probabilities are in memory together."""


class _Classifies(Protocol):
    def logits(self, features: Tensor) -> Tensor:
        """Features [b, 2048] -> [b, 1008]."""


class InceptionScore(Metric):
    """exp of the mean KL divergence from an image's class probabilities p to their mean q, by the Inception network.

    It looks at synthetic images only, and at ImageNet's classes whatever the dataset's are: read it beside the `real`
    row. As published, the mean over 10 splits of the images; images go to splits at random, since sampled ones often
    come sorted by class. Logits are those without output bias, as in torch-fidelity.
    """

    columns: ClassVar[tuple[Column, ...]] = (Column("inception_score", "high", "Inception Score"),)
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"{SPLITS} splits"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"inception_score": value}, from 1 to the number of classes.

        Raises:
            MissingScore: fewer images than splits, or a feature that is not finite.
        """
        synthetic, _ = evaluation.features("inception")
        extractor = cast(_Classifies, evaluation.extractor("inception"))
        n = len(synthetic)
        if n < SPLITS:
            raise MissingScore(f"{SPLITS} splits need as many images, not {n}")
        split = torch.randperm(n, generator=evaluation.run.generator) * SPLITS // n
        counts = torch.bincount(split).double()

        def predictions() -> Iterator[tuple[slice, Tensor, Tensor]]:
            """Blocks of (which images, probabilities [b, classes], their negative entropies [b]), float64."""
            start = 0
            for block in synthetic.blocks():
                for features in torch.from_numpy(finite(block)).split(ROWS):
                    log_p = F.log_softmax(extractor.logits(features.to(evaluation.run.device)).cpu().double(), 1)
                    yield slice(start, start + len(features)), log_p.exp(), (log_p.exp() * log_p).sum(1)
                    start += len(features)

        q, negentropy = torch.zeros(()), torch.zeros(SPLITS, dtype=torch.float64)
        for rows, p, h in predictions():
            q = q + torch.zeros(SPLITS, p.shape[1], dtype=torch.float64).index_add_(0, split[rows], p)
            negentropy.index_add_(0, split[rows], h)
        q = q / counts[:, None]  # [splits, classes]
        value = (negentropy / counts - torch.xlogy(q, q).sum(1)).exp()  # [splits]
        log_q = q.clamp(min=torch.finfo(q.dtype).tiny).log()
        divergence = torch.empty(n, dtype=torch.float64)  # KL(p | q)
        for rows, p, h in predictions():
            divergence[rows] = h - (p * log_q[split[rows]]).sum(1)
        mean = torch.zeros(SPLITS, dtype=torch.float64).index_add_(0, split, divergence) / counts
        influences = n / SPLITS * (value / counts)[split] * (divergence - mean[split])
        return {"inception_score": bootstrap.around(float(value.mean()), influences.numpy(), evaluation.run.generator)}
