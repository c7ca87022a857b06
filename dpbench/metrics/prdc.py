"""Precision, recall, density and coverage: are synthetic images like real ones, and real ones like synthetic ones?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.metric import Column, Estimate, Evaluation, Metric

K = 5
MOST = 10_000
PROTOCOL = f"k={K}, at most {MOST} images of each set"


class PrecisionRecallDensityCoverage(Metric):
    """Precision, recall, density and coverage.

    Shares of images inside the other set's k-nearest-neighbour balls, in Inception features. Precision is the share of
    synthetic images in some reference image's ball, density the mean number of reference balls that a synthetic image
    is in, over k; recall is the share of reference images in some synthetic image's ball, coverage the share of
    reference images whose ball has a synthetic image in it. Precision and density measure fidelity, recall and coverage
    diversity. More images shrink the balls: compare only rows with the same numbers.

    Intervals of recall and coverage are from the reference images that only a single synthetic image (or its ball)
    holds inside; by the Efron-Stein inequality this is rather too wide than too narrow. How other balls grow when an
    image is left out is neglected.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("precision", "high", "share of synthetic images in reference images' balls (k-th neighbour)"),
        Column("recall", "high", "share of reference images in synthetic images' balls"),
        Column("density", "high", "mean number of reference balls that a synthetic image is in, over k"),
        Column("coverage", "high", "share of reference images with a synthetic image in their ball"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = PROTOCOL

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"precision": ..., "recall": ..., "density": ..., "coverage": ...}; all but density in [0, 1].

        Raises:
            MissingScore: no more than k images, or a feature that is not finite.
        """
        from dpbench.metrics.statistics.neighbours import prdc

        return prdc(*evaluation.features("inception"), K, MOST, evaluation.run.generator)


class ClassifierPRDC(Metric):
    """FD and PRDC in features of a real-data classifier.

    A Fréchet distance, precision, recall, density and coverage in features of a classifier trained on train. It needs
    no downloaded weights and separates the dataset's classes, which Inception features may not. The classifier has seen
    train, so a method that copies train may look better than it is.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("fd_classifier", "low", "Fréchet distance of features of a classifier trained on train"),
        *(
            Column(f"{c.name}_classifier", c.better, f"{c.help}, in features of a classifier trained on train")
            for c in PrecisionRecallDensityCoverage.columns
        ),
    )
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = PROTOCOL

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """The columns of `PrecisionRecallDensityCoverage`, and "fd_classifier" in units of squared features.

        Raises:
            MissingScore: no more than k images, or a feature that is not finite.
        """
        from dpbench.metrics.statistics import frechet
        from dpbench.metrics.statistics.neighbours import prdc

        synthetic, reference = evaluation.features("classifier")
        generator = evaluation.run.generator
        shares = prdc(synthetic, reference, K, MOST, generator)
        return {
            "fd_classifier": frechet.estimate(synthetic, reference, frechet.WHOLE, generator),
            **{f"{name}_classifier": estimate for name, estimate in shares.items()},
        }
