"""Fréchet distances of features of pretrained networks, with one Gaussian per set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation.features import Features
from dpbench.metrics.frechet_columns import HALVES, frechet_columns


class FrechetInceptionDistance(Metric):
    """Fréchet Inception Distance to the test split (FID).

    Heusel et al. (arXiv 1706.08500). The value equals that of clean-fid and torch-fidelity on the same features. It
    falls with the numbers of images; `fid_inf`, extrapolated to infinitely many, does not (see `statistics.frechet`).
    """

    extractor: ClassVar[str] = "inception"
    columns: ClassVar[tuple[Column, ...]] = frechet_columns("fid", "Fréchet Inception Distance to the test split")
    protocol: ClassVar[str] = f"v2, {HALVES}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{column: value, ...} of both columns, in units of squared features.

        Raises:
            MissingScore: fewer than four images, a feature that is not finite, or no convergence.
        """
        from dpbench.metrics.statistics import frechet
        from dpbench.metrics.statistics.gaussians import WHOLE

        synthetic, real = self.sets(evaluation)
        return frechet.estimates(self.columns[0].name, synthetic, real, WHOLE, evaluation.run.generator)

    def sets(self, evaluation: Evaluation) -> tuple[Features, Features]:
        """The (synthetic, real) features to compare."""
        return evaluation.features(self.extractor)


class TrainFID(FrechetInceptionDistance):
    """Fréchet Inception Distance to the train split.

    It rewards images that are close to train images, so the test split is the better reference. Papers that compare
    with train use other resizing and other numbers of images: compare DPImageBench's FID with `dpimagebench_fid`.
    """

    columns: ClassVar[tuple[Column, ...]] = frechet_columns("fid_train", "Fréchet Inception Distance to train")
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True

    def sets(self, evaluation: Evaluation) -> tuple[Features, Features]:
        """The (synthetic, train) features."""
        return evaluation.synthetic_features(self.extractor), evaluation.train_features(self.extractor)


class FrechetDINOv2Distance(FrechetInceptionDistance):
    """Fréchet distance of DINOv2 features.

    It agrees better with human judgement than FID (Stein et al., arXiv 2306.04675).
    """

    extractor: ClassVar[str] = "dinov2"
    columns: ClassVar[tuple[Column, ...]] = frechet_columns("fd_dinov2", "Fréchet distance of DINOv2 features")
