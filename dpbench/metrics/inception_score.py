"""The Inception Score (Salimans et al., arXiv 1606.03498)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = 10


class _Classifies(Protocol):
    def logits(self, features: Tensor) -> Tensor:
        """Features [b, 2048] -> [b, 1008]."""


class InceptionScore(Metric):
    """Inception Score (IS).

    exp of the mean KL divergence from an image's class probabilities to their mean, by the Inception network. It uses
    only synthetic images, and ImageNet's classes whatever the dataset is: compare it with the `real` row. As published,
    it is the mean over 10 splits of the images; images are assigned to splits at random, since samples are often sorted
    by class. Logits have no output bias, as in torch-fidelity. DPImageBench uses one split and the bias:
    `dpimagebench_inception_score`.
    """

    columns: ClassVar[tuple[Column, ...]] = (Column("inception_score", "high", "Inception Score"),)
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"v2, {SPLITS} splits"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"inception_score": value}, from 1 to the number of classes.

        Raises:
            MissingScore: fewer images than splits, or a feature that is not finite.
        """
        from dpbench.metrics.statistics.class_entropy import inception_score

        synthetic = evaluation.synthetic_features("inception")
        if len(synthetic) < SPLITS:
            raise MissingScore(f"{SPLITS} splits need at least {SPLITS} images, not {len(synthetic)}")
        extractor = cast(_Classifies, evaluation.extractor("inception"))
        generator = evaluation.run.generator
        value, influences = inception_score(synthetic, extractor.logits, SPLITS, generator)
        return {"inception_score": bootstrap.around(value, influences, generator)}
