"""Utility: the accuracy of classifiers that are trained on synthetic images and tested on real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from dpbench.core.errors import MissingScore
from dpbench.core.plugins import Column, Evaluation, Metric
from dpbench.metrics import recipe
from dpbench.models.classifiers import CLASSIFIERS, build_classifier


class DownstreamAccuracy(Metric):
    """Train on synthetic, test on real: accuracy of each of two fixed classifiers, and their mean.

    The labels of synthetic images are the conditions they were sampled with. The classifiers (`models.classifiers`)
    and how they are trained (`recipe`) are fixed in advance; each is tested once, after its last step, and none is
    chosen over the other, so the reference split selects nothing.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("accuracy", "high", "accuracy on real test images, mean of the classifiers trained on synthetic ones"),
        *(Column(f"accuracy_{name}", "high", f"the same for the classifier '{name}' alone") for name in CLASSIFIERS),
    )
    real_stand_in: ClassVar[Literal["test half", "train"]] = "train"
    protocol: ClassVar[Mapping[str, str]] = {"classifiers": f"{'+'.join(CLASSIFIERS)} v{recipe.VERSION}"}

    def compute(self, evaluation: Evaluation) -> Mapping[str, float]:
        """{"accuracy": ..., "accuracy_cnn": ..., "accuracy_resnet": ...}, each in [0, 1].

        Raises:
            MissingScore: the dataset has no classes, or the images carry no labels.
        """
        if not evaluation.spec.n_classes:
            raise MissingScore("the dataset has no classes")
        if evaluation.synthetic.batch([0]).labels is None:
            raise MissingScore("the synthetic images have no labels")
        scores = {}
        for name in CLASSIFIERS:
            model = build_classifier(name, evaluation.spec, evaluation.run.generator)
            recipe.train(model, evaluation.synthetic, evaluation.run, f"accuracy: {name}")
            scores[f"accuracy_{name}"] = recipe.test(model, evaluation.reference, evaluation.run)
        return {"accuracy": sum(scores.values()) / len(scores), **scores}
