"""Precision, recall, density and coverage: fidelity and diversity by nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.metrics.classifiers.versions import REAL_VERSION
from dpbench.metrics.frechet_columns import HALVES, frechet_columns

K = 5
MOST = 10_000
PROTOCOL = f"v2, k={K}, at most {MOST} images of each set"


class PrecisionRecallDensityCoverage(Metric):
    """Precision, recall, density and coverage.

    Shares of images inside the other set's k-nearest-neighbour balls, in Inception features (Kynkäänniemi et al., arXiv
    1904.06991; Naeem et al., arXiv 2002.09797). Precision is the share of synthetic images inside at least one
    reference image's ball; density is the mean number of reference balls that contain a synthetic image, divided by k.
    Recall is the share of reference images inside at least one synthetic image's ball; coverage is the share of
    reference images whose ball contains a synthetic image. Precision and density measure fidelity; recall and coverage
    measure diversity. Balls are closed. More images shrink them: compare only rows with the same numbers of images, and
    DPImageBench's numbers only with `dpimagebench_precision` and `dpimagebench_recall`.

    The intervals of recall and coverage use the reference images that are covered by a single synthetic image. By the
    Efron-Stein inequality, they tend to be too wide rather than too narrow. The growth of other balls when an image is
    left out is neglected.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("precision", "high", "share of synthetic images inside a reference image's k-nearest-neighbour ball"),
        Column("recall", "high", "share of reference images inside a synthetic image's k-nearest-neighbour ball"),
        Column("density", "high", "mean number of reference balls that contain a synthetic image, divided by k"),
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

        return prdc(*evaluation.features("inception", MOST), K, MOST, evaluation.run.generator)


class ClassifierPRDC(Metric):
    """FD and PRDC in features of a real-data classifier.

    Fréchet distance, precision, recall, density and coverage in features of a classifier trained on the half of the
    train split that no `real` row scores. The classifier needs no downloaded weights, and its features separate the
    dataset's classes, which Inception features may not. It may overrate a method that copies the images that the
    classifier has seen.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        *frechet_columns("fd_classifier", "Fréchet distance of features of a classifier trained on train"),
        *(
            Column(f"{c.name}_classifier", c.better, f"{c.help}, in features of a classifier trained on train")
            for c in PrecisionRecallDensityCoverage.columns
        ),
    )
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"{PROTOCOL}, {HALVES}, {REAL_VERSION}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """The columns of `PrecisionRecallDensityCoverage`, and the two of "fd_classifier" in units of squared features.

        Raises:
            MissingScore: no more than k images, a feature that is not finite, or no classifier: train is not available,
                there are fewer than two classes, or the images are too small.
        """
        from dpbench.metrics.statistics import frechet
        from dpbench.metrics.statistics.gaussians import WHOLE
        from dpbench.metrics.statistics.neighbours import prdc

        synthetic, reference = evaluation.features("classifier")
        generator = evaluation.run.generator
        shares = prdc(synthetic, reference, K, MOST, generator)
        return {
            **frechet.estimates("fd_classifier", synthetic, reference, WHOLE, generator),
            **{f"{name}_classifier": estimate for name, estimate in shares.items()},
        }
