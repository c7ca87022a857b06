"""A classifier trained on half of the real train split, once per dataset, for metrics and as a feature extractor.

This is the half that no `real` row scores. So one classifier judges all rows, and has seen the images of none.

The classifier is not covered by the privacy guarantee (rule R9): only metrics and extractors that declare `reads_train`
may use it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from dpbench.core.metric import Evaluation
from dpbench.evaluation.caveats import Caveat
from dpbench.evaluation.real_parts import never_scored, whole_of
from dpbench.metrics.classifiers import quick, recipe
from dpbench.metrics.classifiers.base import Classifier, build_classifier, require_size
from dpbench.metrics.classifiers.labelled import LabelledImages
from dpbench.metrics.classifiers.versions import REAL, REAL_VERSION


def real_classifier(evaluation: Evaluation) -> Classifier:
    """The classifier `versions.REAL`, trained by `quick.REAL_RECIPE`, in evaluation mode on the run's device.

    Warns with a `Caveat` if training used no image of some class.

    Raises:
        DpbenchError: the current metric does not declare `reads_train`.
        MissingScore: train is not available, has fewer than two classes or no labels, or its images are too small.
        DataError: a label of train is outside the classes.
    """
    spec, train = evaluation.spec, evaluation.train
    recipe.require_labels(spec, train, "train")
    classifier = build_classifier(quick.NETWORKS[REAL], spec, torch.Generator())
    require_size(spec, [classifier])

    def learn(generator: torch.Generator) -> Mapping[str, Tensor]:
        model = build_classifier(quick.NETWORKS[REAL], spec, generator)
        run = replace(evaluation.run, generator=generator)
        with recipe.threads(1):  # the result does not depend on the number of cores
            counts = recipe.train(
                model, LabelledImages(never_scored(train)), quick.REAL_RECIPE, run, "classifier of real images"
            )
        return {**model.state_dict(), "counts": counts}

    key = [REAL_VERSION, whole_of(train).fingerprint, spec.shape, spec.n_classes]
    stored = evaluation.cached("classifier", key, learn)
    counts = stored.pop("counts")
    if unseen := [name for name, n in zip(spec.classes or (), counts.tolist(), strict=True) if n == 0]:
        warnings.warn(
            f"the classifier was trained without images of {len(unseen)} classes: {', '.join(unseen[:10])}", Caveat, 2
        )
    classifier.load_state_dict(stored)
    return classifier.to(evaluation.run.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
