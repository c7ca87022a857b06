"""Utility as published: the classifiers of DPImageBench, for a GPU and hours."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal

import torch

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation.caveats import Caveat
from dpbench.metrics.accuracy import downstream
from dpbench.metrics.classifiers import PUBLISHED, PUBLISHED_CIFAR
from dpbench.metrics.classifiers.recipe import Recipe

IMAGES = 60_000
"""How many synthetic images the published numbers rest on."""

VERSION = "1"

OTHERS = Recipe(
    version=VERSION,
    batch=256,
    steps=lambda n: -(-50 * n // 256),  # 50 epochs
    optimizer=partial(torch.optim.Adam, lr=0.01),
    rate=lambda t: 0.2 ** int(50 * t / 20),  # a fifth every 20 epochs
    averaging=0.9999,
)
CIFAR = Recipe(
    version=VERSION,
    batch=126,
    steps=lambda n: -(-200 * n // 126),  # 200 epochs
    optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=5e-4),
    rate=lambda t: 0.2 ** int(200 * t / 60),  # a fifth every 60 epochs
    averaging=0.9999,
)
SETTINGS = {"cifar10": (PUBLISHED_CIFAR, CIFAR), "cifar100": (PUBLISHED_CIFAR, CIFAR)}
"""Dataset -> its classifiers and recipe; all others share one setting."""


class PublishedAccuracy(Metric):
    """Train on synthetic, test on real: accuracy of DPImageBench's three large classifiers, and their mean; slow.

    Gong et al. (arXiv 2503.14681); the constants are those of `evaluation/evaluator.py` and `evaluation/classifier/`
    in github.com/2019ChenGong/DPImageBench (commit ec57378): ResNet, WideResNet with dropout and ResNeXt, with batch
    normalisation, trained on 60,000 images in [-1, 1] without augmentation, and tested with the moving average of
    their weights. ResNet-110, WRN-40-4 and ResNeXt-29 for 50 epochs with Adam; for CIFAR ResNet-164, WRN-28-10 and a
    wider ResNeXt for 200 epochs with SGD.

    What is ours. Nothing is selected: the weights after the last step are tested, once, where the authors choose an
    epoch by a noisy score on held-out sensitive images, or by 5,000 synthetic images that they do not train on; so
    all images are trained on. A batch crosses epochs, so that none is small. Weights of the last layer start as torch
    has them.

    Built and tested for shapes, parameter counts and a few steps only; its published numbers have not been reproduced.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("accuracy_paper", "high", "accuracy on real test images, mean of DPImageBench's three classifiers"),
        *(Column(f"accuracy_paper_{name}", "high", f"the same for its '{name}' alone") for name in PUBLISHED),
    )
    default: ClassVar[bool] = False
    headline: ClassVar[bool] = False
    real_stand_in: ClassVar[Literal["test half", "train"]] = "train"
    protocol: ClassVar[str] = f"DPImageBench's {'+'.join(PUBLISHED)} v{VERSION}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"accuracy_paper": ..., "accuracy_paper_resnet": ..., ...}, each in [0, 1], with intervals.

        Gives a `Caveat` where there are not `IMAGES` images.

        Raises:
            MissingScore: the dataset has fewer than two classes, or the images carry no labels.
        """
        classifiers, how = SETTINGS.get(evaluation.spec.name, (PUBLISHED, OTHERS))
        scores = downstream("accuracy_paper", classifiers, how, evaluation)
        if (n := len(evaluation.synthetic)) != IMAGES:
            warnings.warn(f"trained on {n} images, where the published setting has {IMAGES}", Caveat, 2)
        return scores
