"""Precision, recall, density and coverage: are synthetic images like real ones, and real ones like synthetic ones?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import ClassVar

import torch

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.caveats import Caveat
from dpbench.evaluation.features import Features, finite
from dpbench.metrics.statistics import frechet
from dpbench.metrics.statistics.neighbours import memberships, squared_radii

K = 5
MOST = 10_000
PROTOCOL = f"k={K}, at most {MOST} images of each set"


class PrecisionRecallDensityCoverage(Metric):
    """Shares of images inside the other set's k-nearest-neighbour balls, in Inception features.

    Precision is the share of synthetic images in some reference image's ball, density the mean number of reference
    balls that a synthetic image is in, over k; recall is the share of reference images in some synthetic image's ball,
    coverage the share of reference images whose ball has a synthetic image in it. The first two tell fidelity, the
    others diversity. More images shrink the balls: compare only rows with the same numbers.

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
        return prdc(*evaluation.features("inception"), evaluation.run.generator)


class ClassifierPRDC(Metric):
    """A Fréchet distance, precision, recall, density and coverage in features of a classifier trained on real images.

    It needs no downloaded weights and knows what tells the dataset's classes apart, as Inception features may not. The
    classifier has seen train, so a method that copies train may look better than it is.
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
        synthetic, reference = evaluation.features("classifier")
        generator = evaluation.run.generator
        shares = prdc(synthetic, reference, generator)
        return {
            "fd_classifier": frechet.estimate(synthetic, reference, frechet.WHOLE, generator),
            **{f"{name}_classifier": estimate for name, estimate in shares.items()},
        }


def prdc(synthetic: Features, reference: Features, generator: torch.Generator) -> dict[str, Estimate]:
    """Precision, recall, density and coverage with their intervals over synthetic images.

    Args:
        generator: of the bootstrap.

    Raises:
        MissingScore: no more than k images, or a feature that is not finite.
    """
    x, y = (torch.from_numpy(finite(features.at_most(MOST))).flatten(1) for features in (synthetic, reference))
    n, m = len(x), len(y)
    if min(n, m) <= K:
        raise MissingScore(f"{K} nearest neighbours need more than {K} images of either set, not {min(n, m)}")
    x, y = x - y.mean(0), y - y.mean(0)  # squares of distances keep more digits around 0
    found = memberships(x, y, _radii(synthetic, x, "synthetic"), _radii(reference, y, "reference"))

    def share(counts: torch.Tensor, only: torch.Tensor) -> Estimate:
        """Of reference images with a count above 0; `only`: the synthetic image that a count of 1 depends on."""
        lost = torch.bincount(only[counts == 1], minlength=n)  # reference images that leave with a synthetic one
        return bootstrap.around(float((counts > 0).double().mean()), n / m * lost.double().numpy(), generator)

    return {
        "precision": bootstrap.mean((found.reference_balls > 0).double().numpy(), generator),
        "recall": share(found.synthetic_balls, found.only_ball),
        "density": bootstrap.mean(found.reference_balls.double().numpy() / K, generator),
        "coverage": share(found.synthetic_inside, found.only_inside),
    }


def _radii(features: Features, x: torch.Tensor, role: str) -> torch.Tensor:
    """The squared radii of the balls around `x`, a part of `features`; computed once and kept beside them."""
    radii = features.derived(f"radii-{K}-{MOST}", lambda: {"squared": squared_radii(x, K).double().numpy()})["squared"]
    points = int((radii == 0).sum())
    if points:
        warnings.warn(f"{points} of {len(x)} {role} images have {K} duplicates: balls of radius 0", Caveat, 2)
    return torch.from_numpy(radii).float()
