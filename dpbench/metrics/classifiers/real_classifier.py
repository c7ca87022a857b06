"""A classifier trained on the real train split, once per dataset: what judges images, or sees them in features.

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
from dpbench.metrics.classifiers import QUICK, Classifier, build_classifier, recipe

NETWORK = "wideresnet"
METHOD = f"{NETWORK} v{recipe.QUICK.version}"
"""What stands in the row."""


def real_classifier(evaluation: Evaluation) -> Classifier:
    """`NETWORK` trained on train by the recipe `QUICK`, on the evaluation's device, ready for use.

    Gives a `Caveat` where training met no image of a class.

    Raises:
        MissingScore: train is not at hand, has fewer than two classes, or carries no labels.
        DataError: a label of train is outside the classes.
    """
    spec, train = evaluation.spec, evaluation.train
    recipe.require_labels(spec, train, "train")

    def learn(generator: torch.Generator) -> Mapping[str, Tensor]:
        model = build_classifier(QUICK[NETWORK], spec, generator)
        run = replace(evaluation.run, generator=generator)
        met = recipe.train(model, train, recipe.QUICK, run, "classifier of real images")
        return {**model.state_dict(), "met": met}

    kept = evaluation.keep("classifier", [METHOD, train.fingerprint, spec.shape, spec.n_classes], learn)
    met = kept.pop("met")
    if unseen := [name for name, n in zip(spec.classes or (), met.tolist(), strict=True) if n == 0]:
        warnings.warn(
            f"the classifier met no train image of {len(unseen)} classes: {', '.join(unseen[:10])}", Caveat, 2
        )
    model = build_classifier(QUICK[NETWORK], spec, torch.Generator())
    model.load_state_dict(kept)
    return model.to(evaluation.run.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
