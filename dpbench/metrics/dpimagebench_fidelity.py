"""The fidelity metrics of DPImageBench, computed as in its code (Gong et al., arXiv 2503.14681).

The details follow github.com/2019ChenGong/DPImageBench, evaluation/evaluator.py (commit ec57378), and the code that it
calls: github.com/marcojira/fld, fld/metrics and fld/MoG.py (commits 6f0d888 and 245ac7c), and pytorch-fid. Follow-ups
of DPImageBench (DP-FETA-Pro, DP-SAPF) use the same code. All metrics have this in common:

* All features come from the extractor `pytorch-fid`; grey is repeated to three channels.
* The reference is the train split. DPImageBench keeps a part of it for validation (5,000 images of MNIST,
  Fashion-MNIST and CIFAR); here all of it is the reference, since methods are trained on all of it.
* 60,000 synthetic images are scored; MNIST and Fashion-MNIST have 28 pixels.

`docs/metrics.md` compares each metric with dpbench's own.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.caveats import Caveat

if TYPE_CHECKING:
    from dpbench.evaluation.features import Features
    from dpbench.metrics.extractors.pytorch_fid import PytorchFID

EXTRACTOR = "pytorch-fid"
IMAGES = 60_000
"""Synthetic images, of which FID uses 50,000 and FLD 10,000."""
FID_IMAGES = 50_000
FLD_CENTRES = 10_000
PRECISION_K, RECALL_K = 3, 4
"""fld's `num_neighbors` is 4 and 5, but its neighbours include the image itself."""
PIXELS = {"mnist": 28, "fashion-mnist": 28, "cifar10": 32, "cifar100": 32}
"""Size of the images behind the published numbers."""
BLOCK = 1000  # images


def check_size(evaluation: Evaluation) -> None:
    """Refuses images of another size than DPImageBench's.

    Raises:
        MissingScore: the images have another size.
    """
    name, size = evaluation.spec.name, evaluation.spec.resolution
    published = PIXELS.get(name, size)
    if size != published:
        raise MissingScore(
            f"DPImageBench scores {name} at {published} pixels, not {size}; run with --resolution {published}"
        )


def warn_of_few(n: int, wanted: int) -> None:
    """Warns with a `Caveat` if there are fewer synthetic images than DPImageBench scores."""
    if n < wanted:
        warnings.warn(f"computed from {n} images, DPImageBench's from {wanted}: not comparable", Caveat, 2)


def synthetic_features(evaluation: Evaluation, wanted: int) -> Features:
    """Features of the synthetic images; warns as `warn_of_few`.

    Raises:
        MissingScore: as `check_size`, or the weights are not available.
    """
    check_size(evaluation)
    synthetic = evaluation.synthetic_features(EXTRACTOR)
    warn_of_few(len(synthetic), wanted)
    return synthetic


class DPImageBenchFID(Metric):
    """DPImageBench's FID: to the train split.

    Fréchet distance of at most 50,000 random synthetic images to all of train, in features of pytorch-fid's Inception.
    Do not compare the value with `fid`, which has other resizing, another reference and other numbers of images, or
    with `fid_train`, which has other resizing. DPImageBench takes a matrix square root, and adds 1e-6 to the diagonals
    if that fails; here the distance is computed without a matrix square root.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("dpimagebench_fid", "low", "DPImageBench's FID: pytorch-fid's Inception, reference train"),
    )
    default: ClassVar[bool] = False
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"v1, at most {FID_IMAGES} synthetic images"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"dpimagebench_fid": value}, in units of squared features.

        Raises:
            MissingScore: images of another size, fewer than two images (four of train), or a feature that is not
                finite.
        """
        from dpbench.metrics.statistics.frechet import transport
        from dpbench.metrics.statistics.gaussians import WHOLE, fit, fit_halves

        synthetic = synthetic_features(evaluation, FID_IMAGES)
        part = synthetic.at_most(FID_IMAGES)
        blocks = [WHOLE.of(part[start : start + BLOCK]) for start in range(0, len(part), BLOCK)]
        found = transport(fit(blocks), fit_halves(evaluation.train_features(EXTRACTOR), WHOLE).whole)
        influences = np.concatenate([found.influences(block).sum(1) for block in blocks])
        return {"dpimagebench_fid": bootstrap.around(float(found.distance.sum()), influences, evaluation.run.generator)}


class DPImageBenchInceptionScore(Metric):
    """DPImageBench's Inception Score: one split.

    As `inception_score`, but over all images at once instead of the original mean over 10 splits, with the output
    layer's bias, and with pytorch-fid's resizing. With one split, the score is usually higher.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("dpimagebench_inception_score", "high", "DPImageBench's Inception Score: one split"),
    )
    default: ClassVar[bool] = False
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = "v1, one split"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"dpimagebench_inception_score": value}, from 1 to the number of ImageNet's classes.

        Raises:
            MissingScore: images of another size, or a feature that is not finite.
        """
        from dpbench.metrics.statistics.class_entropy import inception_score

        synthetic = synthetic_features(evaluation, IMAGES)
        extractor = cast("PytorchFID", evaluation.extractor(EXTRACTOR))
        generator = evaluation.run.generator
        value, influences = inception_score(synthetic, extractor.logits, 1, generator)
        return {"dpimagebench_inception_score": bootstrap.around(value, influences, generator)}


class DPImageBenchPrecisionRecall(Metric):
    """DPImageBench's precision and recall: open balls.

    Precision is the share of at most 60,000 synthetic images inside a train image's ball, k = 3; recall is the share of
    train images inside a synthetic image's ball, k = 4. Balls are open: a ball of radius 0, around duplicates, contains
    nothing, not even a copy. `precision` and `recall` have closed balls, k = 5, at most 10,000 images and the test
    split. Comparing 60,000 images with 60,000 takes minutes and 1 GB of memory.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("dpimagebench_precision", "high", f"DPImageBench's precision: k = {PRECISION_K}, reference train"),
        Column("dpimagebench_recall", "high", f"DPImageBench's recall: k = {RECALL_K}, reference train"),
    )
    default: ClassVar[bool] = False
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"v1, k={PRECISION_K} and {RECALL_K}, open balls, at most {IMAGES} synthetic images"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"dpimagebench_precision": ..., "dpimagebench_recall": ...}, in [0, 1]; intervals as in `prdc`.

        Raises:
            MissingScore: images of another size, no more than k images, or a feature that is not finite.
        """
        from dpbench.metrics.statistics.neighbours import open_precision_recall

        synthetic = synthetic_features(evaluation, IMAGES)
        train = evaluation.train_features(EXTRACTOR)
        precision, recall = open_precision_recall(
            synthetic, train, PRECISION_K, RECALL_K, IMAGES, evaluation.run.generator
        )
        return {"dpimagebench_precision": precision, "dpimagebench_recall": recall}


class DPImageBenchFLD(Metric):
    """DPImageBench's FLD: Inception features, likelihood of train.

    100 times the mean negative log-likelihood of *train* images per feature, under Gaussians centred on at most 10,000
    random synthetic images and fitted to train, minus that of test images under Gaussians centred on half of train (at
    most 10,000 images) and fitted to the rest. The authors of FLD, and `fld`, compute the likelihood of test images in
    DINOv2 features. Here, copies of train images among the synthetic images improve the value. The distances of 60,000
    train images take 2.4 GB of memory.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("dpimagebench_fld", "low", "DPImageBench's FLD: likelihood of train in Inception features"),
    )
    default: ClassVar[bool] = False
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"v1, at most {FLD_CENTRES} centres, all of train and of test"

    def compute(self, evaluation: Evaluation) -> Mapping[str, float]:
        """{"dpimagebench_fld": value}.

        Raises:
            MissingScore: images of another size, fewer than two images of train or test, or a feature that is not
                finite.
        """
        from dpbench.metrics.statistics.gaussian_mixture import likelihood_divergence

        synthetic = synthetic_features(evaluation, FLD_CENTRES)
        _, reference = evaluation.features(EXTRACTOR)
        train = evaluation.train_features(EXTRACTOR)
        if min(len(train), len(reference)) < 2:
            raise MissingScore("the Feature Likelihood Divergence needs at least 2 images of train and of test")
        centres, fitted, tested = (
            synthetic.at_most(FLD_CENTRES),
            train.at_most(len(train)),
            reference.at_most(len(reference)),
        )
        return {"dpimagebench_fld": likelihood_divergence(centres, fitted, tested, evaluation.run, "train")}
