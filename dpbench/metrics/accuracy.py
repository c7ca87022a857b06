"""Utility: the accuracy of classifiers that are trained on synthetic images and tested on real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.metrics.classifiers.versions import QUICK, QUICK_VERSION


class DownstreamAccuracy(Metric):
    """Train on synthetic, test on real: small classifiers.

    Accuracy of each of three small classifiers, and their mean. The labels of synthetic images are the conditions they
    were sampled with. The classifiers and how they are trained are fixed in advance (`classifiers.quick`); each is
    tested once, after its last step, and none is chosen over the others, so the reference split selects nothing.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("accuracy", "high", "accuracy on real test images, mean of the classifiers trained on synthetic ones"),
        *(Column(f"accuracy_{name}", "high", f"the same for the classifier '{name}' alone") for name in QUICK),
    )
    real_stand_in: ClassVar[Literal["test half", "train"]] = "train"
    protocol: ClassVar[str] = f"{'+'.join(QUICK)} v{QUICK_VERSION}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"accuracy": ..., "accuracy_cnn": ..., ...}, each in [0, 1], with intervals over the test images.

        Raises:
            MissingScore: the dataset has fewer than two classes, or the images carry no labels.
        """
        from dpbench.metrics.classifiers import quick
        from dpbench.metrics.classifiers.downstream import downstream

        return downstream("accuracy", quick.NETWORKS, quick.RECIPE, evaluation)
