"""The Feature Likelihood Divergence (Jiralerspong et al., arXiv 2302.04440)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Evaluation, Metric

CENTRES = 5_000
MOST = 10_000  # images of train, and of test


class FeatureLikelihoodDivergence(Metric):
    """Feature Likelihood Divergence in DINOv2 features.

    The negative log-likelihood of test images under Gaussians centred on the synthetic images. Each synthetic image is
    the centre of one Gaussian of an equally weighted mixture; the variances maximise the likelihood of train. A
    Gaussian around a copy of a train image becomes narrow and gives test images a low likelihood, so the divergence
    penalises copying as well as low fidelity and low diversity. The value is 100 times the mean negative log-likelihood
    of test per feature, minus that of a baseline with half of train as centres, fitted to the other half.

    The fit is that of the authors' code (`statistics.gaussian_mixture`). The values are not comparable with theirs:
    they use features of DINOv2 ViT-B/14, 10,000 centres and all of train; this metric uses features of ViT-L/14, at
    most 5,000 centres, and 10,000 images of train and of test. There is no interval, because leaving out one centre
    changes the variances of its neighbours.
    """

    columns: ClassVar[tuple[Column, ...]] = (Column("fld", "low", "Feature Likelihood Divergence (DINOv2 features)"),)
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"v2, at most {CENTRES} centres, {MOST} images of train and of test"

    def compute(self, evaluation: Evaluation) -> Mapping[str, float]:
        """{"fld": value}; around 0 for images as good as train images.

        Raises:
            MissingScore: fewer than two images of train or test, or a feature that is not finite.
        """
        from dpbench.metrics.statistics.gaussian_mixture import likelihood_divergence

        synthetic, reference = evaluation.features("dinov2")
        train = evaluation.train_features("dinov2", MOST)
        if min(len(train), len(reference)) < 2:
            raise MissingScore("the Feature Likelihood Divergence needs at least 2 images of train and of test")
        centres, fitted, tested = synthetic.at_most(CENTRES), train.at_most(MOST), reference.at_most(MOST)
        return {"fld": likelihood_divergence(centres, fitted, tested, evaluation.run)}
