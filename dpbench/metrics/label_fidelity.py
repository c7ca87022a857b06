"""Conditioning: the accuracy of a real-data classifier on synthetic images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.metrics.classifiers.versions import REAL_VERSION


class LabelFidelity(Metric):
    """Train on real, test on synthetic images.

    The accuracy of a classifier trained on real images, on synthetic images labelled with the class they were sampled
    for. Ravuri and Vinyals (arXiv 1905.10887) train on synthetic images and test on real ones, which is `accuracy`;
    this metric is the other direction. It is high if the classes are distinct, even if every image of a class is the
    same: read it together with `accuracy` and `recall`. The classifier is trained on the half of train that no `real`
    row scores.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("label_fidelity", "high", "accuracy on synthetic images of a classifier trained on real images"),
    )
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"v2, {REAL_VERSION}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"label_fidelity": value in [0, 1]}, with its interval over the synthetic images.

        Raises:
            MissingScore: fewer than two classes, images without labels or too small, or train is not available.
        """
        from dpbench.metrics.classifiers import recipe
        from dpbench.metrics.classifiers.labelled import LabelledImages
        from dpbench.metrics.classifiers.real_classifier import real_classifier

        recipe.require_labels(evaluation.spec, evaluation.synthetic, "synthetic")
        judge, synthetic = real_classifier(evaluation), LabelledImages(evaluation.synthetic)
        right = recipe.test(judge, synthetic, evaluation.run.device).double().numpy()
        return {"label_fidelity": bootstrap.mean(right, evaluation.run.generator)}
