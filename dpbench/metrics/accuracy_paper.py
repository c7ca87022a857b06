"""Utility as published: the classifiers of DPImageBench, for a GPU and hours."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import ClassVar, Literal

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation.caveats import Caveat
from dpbench.metrics.classifiers.versions import DPIMAGEBENCH, DPIMAGEBENCH_VERSION

IMAGES = 60_000
"""How many synthetic images the published numbers rest on."""


class PublishedAccuracy(Metric):
    """DPImageBench's classifier accuracy; slow.

    Train on synthetic, test on real: accuracy of each of DPImageBench's three large classifiers, and their mean
    (`classifiers.dpimagebench`). ResNet, WideResNet with dropout and ResNeXt, with batch normalisation, are trained on
    60,000 images in [-1, 1] without augmentation, and tested with the moving average of their weights: ResNet-110,
    WRN-40-4 and ResNeXt-29 for 50 epochs with Adam; for CIFAR ResNet-164, WRN-28-10 and a wider ResNeXt for 200 epochs
    with SGD.

    Differences from DPImageBench: nothing is selected. The weights after the last step are tested, once, whereas the
    authors choose an epoch by a noisy score on held-out sensitive images, or by 5,000 synthetic images that they do not
    train on; here all images are trained on. Batches run across epochs, so that none is small. The weights of the last
    layer have torch's default initialisation.

    Tested for shapes, parameter counts and a few steps only; its published numbers have not been reproduced.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("accuracy_paper", "high", "accuracy on real test images, mean of DPImageBench's three classifiers"),
        *(Column(f"accuracy_paper_{name}", "high", f"the same for its '{name}' alone") for name in DPIMAGEBENCH),
    )
    default: ClassVar[bool] = False
    headline: ClassVar[bool] = False
    real_stand_in: ClassVar[Literal["test half", "train"]] = "train"
    protocol: ClassVar[str] = f"DPImageBench's {'+'.join(DPIMAGEBENCH)} v{DPIMAGEBENCH_VERSION}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"accuracy_paper": ..., "accuracy_paper_resnet": ..., ...}, each in [0, 1], with intervals.

        Warns with a `Caveat` unless there are `IMAGES` synthetic images.

        Raises:
            MissingScore: the dataset has fewer than two classes, or the images carry no labels.
        """
        from dpbench.metrics.classifiers import dpimagebench
        from dpbench.metrics.classifiers.downstream import downstream

        scores = downstream("accuracy_paper", *dpimagebench.setting(evaluation.spec.name), evaluation)
        if (n := len(evaluation.synthetic)) != IMAGES:
            warnings.warn(f"trained on {n} images, where the published setting has {IMAGES}", Caveat, 2)
        return scores
