"""Utility as published: the large classifiers of DPImageBench, which take hours on a GPU and weeks on a CPU."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.metric import Column, Evaluation, Metric
from dpbench.core.outcomes import Measured
from dpbench.core.specs import DatasetSpec
from dpbench.evaluation.caveats import Caveat
from dpbench.metrics.classifiers.versions import DPIMAGEBENCH, DPIMAGEBENCH_VERSION

IMAGES = 60_000
"""Number of synthetic images in the published setting."""


class PublishedAccuracy(Metric):
    """DPImageBench's classifier accuracy; slow.

    Train on synthetic, test on real: the accuracy of each of DPImageBench's three large classifiers, and their mean
    (`classifiers.dpimagebench`; Gong et al., arXiv 2503.14681). ResNet, WideResNet with dropout and ResNeXt, with batch
    normalisation, are trained on 60,000 images in [-1, 1] without augmentation, and tested with the moving average of
    their weights: ResNet-110, WRN-40-4 and ResNeXt-29 for 50 epochs with Adam; for CIFAR, ResNet-164, WRN-28-10 and a
    wider ResNeXt for 200 epochs with SGD.

    Differences from DPImageBench: nothing is selected. The weights after the last step are tested once. The authors
    choose an epoch by a noisy score on held-out sensitive images, or by 5,000 synthetic images that they do not train
    on; here all synthetic images are used for training. Batches continue across epochs, so all have the same size. The
    last layer has torch's default initialisation.

    The metric takes hours per row on a GPU. On a CPU it would take weeks and is refused: before anything runs, the time
    is estimated from a step of each classifier, and more than a day per row is too long. Each classifier is trained
    once, so the intervals are only over the reference images.

    Only shapes, parameter counts and a few steps have been tested; the published numbers have not been reproduced.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("accuracy_paper", "high", "accuracy on real test images, mean of DPImageBench's three classifiers"),
        *(Column(f"accuracy_paper_{name}", "high", f"accuracy of DPImageBench's '{name}'") for name in DPIMAGEBENCH),
    )
    default: ClassVar[bool] = False
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"v{DPIMAGEBENCH_VERSION}, DPImageBench's {'+'.join(DPIMAGEBENCH)}"

    @classmethod
    def expected_seconds(cls, spec: DatasetSpec, images: int, device: str) -> float:
        """The time of training, extrapolated from a step of each classifier on the device; 0 without two classes."""
        from dpbench.metrics.classifiers import dpimagebench
        from dpbench.metrics.classifiers.duration import expected_seconds

        if spec.n_classes < 2:
            return 0.0
        return expected_seconds(*dpimagebench.setting(spec.name), spec, images, device)

    def compute(self, evaluation: Evaluation) -> Mapping[str, Measured]:
        """{"accuracy_paper": ..., "accuracy_paper_resnet": ..., ...}, each in [0, 1], with intervals.

        Warns with a `Caveat` unless there are `IMAGES` synthetic images.

        Raises:
            MissingScore: the dataset has fewer than two classes, or the images have no labels or are too small.
        """
        from dpbench.metrics.classifiers import dpimagebench
        from dpbench.metrics.classifiers.downstream import downstream

        scores = downstream("accuracy_paper", *dpimagebench.setting(evaluation.spec.name), evaluation)
        if (n := len(evaluation.synthetic)) != IMAGES:
            warnings.warn(f"trained on {n} images; the published setting has {IMAGES}", Caveat, 2)
        return scores
