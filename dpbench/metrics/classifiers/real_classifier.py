"""A classifier trained on the real train split, once per dataset, to judge images or to extract features.

It is not protected by any budget (rule R9): only metrics and extractors that declare `reads_train` may ask for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from dpbench.core.metric import Evaluation
from dpbench.evaluation.caveats import Caveat
from dpbench.metrics.classifiers import quick, recipe
from dpbench.metrics.classifiers.base import Classifier, build_classifier
from dpbench.metrics.classifiers.versions import REAL, REAL_VERSION


def real_classifier(evaluation: Evaluation) -> Classifier:
    """The classifier `versions.REAL`, trained on train by the quick recipe, on the evaluation's device, ready for use.

    Gives a `Caveat` where training met no image of a class.

    Raises:
        MissingScore: train is not at hand, has fewer than two classes, or carries no labels.
        DataError: a label of train is outside the classes.
    """
    spec, train = evaluation.spec, evaluation.train
    recipe.require_labels(spec, train, "train")

    def learn(generator: torch.Generator) -> Mapping[str, Tensor]:
        model = build_classifier(quick.NETWORKS[REAL], spec, generator)
        run = replace(evaluation.run, generator=generator)
        met = recipe.train(model, train, quick.RECIPE, run, "classifier of real images")
        return {**model.state_dict(), "met": met}

    kept = evaluation.keep("classifier", [REAL_VERSION, train.fingerprint, spec.shape, spec.n_classes], learn)
    met = kept.pop("met")
    if unseen := [name for name, n in zip(spec.classes or (), met.tolist(), strict=True) if n == 0]:
        warnings.warn(
            f"the classifier met no train image of {len(unseen)} classes: {', '.join(unseen[:10])}", Caveat, 2
        )
    model = build_classifier(quick.NETWORKS[REAL], spec, torch.Generator())
    model.load_state_dict(kept)
    return model.to(evaluation.run.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
