"""Utility: the accuracy of classifiers trained on synthetic images and tested on real images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.metric import Column, Evaluation, Metric
from dpbench.core.outcomes import Measured
from dpbench.metrics.classifiers.versions import QUICK, QUICK_VERSION


class DownstreamAccuracy(Metric):
    """Train on synthetic, test on real: small classifiers.

    The accuracy of each of three small classifiers, and their mean. The label of a synthetic image is the class it was
    sampled for. The classifiers and their training are fixed in advance (`classifiers.quick`): 6 epochs, at least 300
    steps, with random shifts as the only augmentation. Each is trained three times, and each run is tested once, after
    its last step. All runs are in the mean, so nothing is selected on the reference split. The interval covers the
    reference images and the runs (`core.outcomes`). The `real` row has the accuracy that real images reach.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("accuracy", "high", "accuracy on real test images, mean of classifiers trained on synthetic images"),
        *(Column(f"accuracy_{name}", "high", f"accuracy of the classifier '{name}'") for name in QUICK),
    )
    protocol: ClassVar[str] = f"v{QUICK_VERSION}, {'+'.join(QUICK)}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Measured]:
        """{"accuracy": ..., "accuracy_cnn": ..., ...}, each in [0, 1], with intervals over test images and runs.

        Raises:
            MissingScore: the dataset has fewer than two classes, or the images have no labels or are too small.
        """
        from dpbench.metrics.classifiers import quick
        from dpbench.metrics.classifiers.downstream import downstream

        return downstream("accuracy", quick.NETWORKS, quick.RECIPE, evaluation)
