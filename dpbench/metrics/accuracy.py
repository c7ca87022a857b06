"""Utility: the accuracy of classifiers that are trained on synthetic images and tested on real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.metrics.classifiers import QUICK, Make, build_classifier, recipe
from dpbench.metrics.classifiers.recipe import Recipe


class DownstreamAccuracy(Metric):
    """Train on synthetic, test on real: accuracy of each of three small fixed classifiers, and their mean.

    The labels of synthetic images are the conditions they were sampled with. The classifiers (`metrics.classifiers`)
    and how they are trained (`recipe`) are fixed in advance; each is tested once, after its last step, and none is
    chosen over the others, so the reference split selects nothing.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("accuracy", "high", "accuracy on real test images, mean of the classifiers trained on synthetic ones"),
        *(Column(f"accuracy_{name}", "high", f"the same for the classifier '{name}' alone") for name in QUICK),
    )
    real_stand_in: ClassVar[Literal["test half", "train"]] = "train"
    protocol: ClassVar[str] = f"{'+'.join(QUICK)} v{recipe.QUICK.version}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"accuracy": ..., "accuracy_cnn": ..., ...}, each in [0, 1], with intervals over the test images.

        Raises:
            MissingScore: the dataset has fewer than two classes, or the images carry no labels.
        """
        return downstream("accuracy", QUICK, recipe.QUICK, evaluation)


def downstream(
    column: str, classifiers: Mapping[str, Make], how: Recipe, evaluation: Evaluation
) -> Mapping[str, Estimate]:
    """Accuracies on the reference images of classifiers that are trained on the synthetic ones.

    Args:
        column: the mean's; a classifier's own is `column`_name.

    Raises:
        MissingScore: the dataset has fewer than two classes, or the images carry no labels.
    """
    synthetic, reference, run = evaluation.synthetic, evaluation.reference, evaluation.run
    recipe.require_labels(evaluation.spec, synthetic, "synthetic")
    correct = {}
    for name, make in classifiers.items():
        model = build_classifier(make, evaluation.spec, run.generator)
        recipe.train(model, synthetic, how, run, f"{column}: {name}")
        correct[f"{column}_{name}"] = recipe.test(model, reference, run)
    mean = np.mean(list(correct.values()), axis=0)  # an image's, over the classifiers: they err on the same images
    return {name: bootstrap.mean(values, run.generator) for name, values in {column: mean, **correct}.items()}
