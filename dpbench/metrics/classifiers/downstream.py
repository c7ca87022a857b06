"""Train on synthetic, test on real: accuracy of classifiers on the reference images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dpbench.core.metric import Estimate, Evaluation
from dpbench.evaluation import intervals as bootstrap
from dpbench.metrics.classifiers import recipe
from dpbench.metrics.classifiers.base import Make, build_classifier
from dpbench.metrics.classifiers.recipe import Recipe


def downstream(
    column: str, classifiers: Mapping[str, Make], how: Recipe, evaluation: Evaluation
) -> Mapping[str, Estimate]:
    """Accuracies, on the reference images, of classifiers trained on the synthetic images.

    Args:
        column: name of the column of the mean; the column of a classifier is `column`_name.
        classifiers: name -> function that builds it.
        how: the recipe for training each.
        evaluation: the images and the random generator.

    Returns:
        Column -> accuracy in [0, 1], with its interval over the reference images.

    Raises:
        MissingScore: the dataset has fewer than two classes, or the images have no labels.
        DataError: a label is outside the classes.
    """
    synthetic, reference, run = evaluation.synthetic, evaluation.reference, evaluation.run
    recipe.require_labels(evaluation.spec, synthetic, "synthetic")
    correct = {}
    for name, make in classifiers.items():
        model = build_classifier(make, evaluation.spec, run.generator)
        recipe.train(model, synthetic, how, run, f"{column}: {name}")
        correct[f"{column}_{name}"] = recipe.test(model, reference, run)
    mean = np.mean(list(correct.values()), axis=0)  # per image, since errors of the classifiers are correlated
    return {name: bootstrap.mean(values, run.generator) for name, values in {column: mean, **correct}.items()}
