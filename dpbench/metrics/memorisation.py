"""Memorisation: whether synthetic images are closer to the train images than independent images would be."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.caveats import Caveat
from dpbench.evaluation.features import Array

if TYPE_CHECKING:
    from dpbench.metrics.statistics.pixel_vectors import PixelVectors

RECORDS = 2000  # at most, train images and reference images that are attacked
COMPARED = 1000  # at most, synthetic images whose nearest train image is searched
PARTS = 10  # at most, parts of equal size that the larger of train and reference is split into
SIZE = 32  # pixels; larger images are compared by their block means
COPY = 1e-3  # pixels in [0, 1]: a quarter of one grey level in one pixel


class Memorisation(Metric):
    """Membership attack and nearest-neighbour distances.

    Nearest neighbours by pixel distance: a membership attack, a distance ratio, and authenticity. It uses the train
    split, so its values are not covered by the privacy guarantee (rule R9). A DP method should be at chance in all
    columns. The attacks are simple: chance-level scores do not prove privacy; above-chance scores show leakage.

    `membership`: see `membership.advantage`, on at most 2,000 train images and as many reference images. 0 at chance, 1
    where every member is identified. `membership_auc` is the same without a threshold, 0.5 at chance.

    `nn_ratio`: mean distance of synthetic images to their nearest train image, over that to their nearest reference
    image (van den Burg and Williams, arXiv 2106.03216, on why held-out images have to be the yardstick). Nearest among
    equally many of both, so that 1 is chance; below 1 is memorised. The larger set is split into parts of that size,
    over which distances are averaged. A copy of one train image is close to one part only: a generator that only
    copies has 1 - 1 / parts. It is a ratio of means, which unlike the mean of ratios is 1 at chance for any spread. Its
    interval is over synthetic images: another train or test split would move it as well.

    `authenticity` (Alaa et al., arXiv 2102.08921): share of synthetic images that are farther from their nearest train
    image than that one is from its own nearest other train image. 0 for copies; what chance is depends on the data, so
    compare it with the `real` row.

    All train images take part in `nn_ratio` (up to 10 parts) and `authenticity`; of synthetic images at most 1,000,
    evenly spaced, do. Copies of train images among them are counted in a caveat. Distances are between the
    `wavelet-packet` features, a rotation of the pixels; images above 32 pixels are compared by block means of at most
    32 x 32.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("membership", "low", "advantage of a distance-based membership attack; 0 is chance, 1 all told apart"),
        Column("membership_auc", "low", "area under the attack's ROC curve; 0.5 is chance"),
        Column("nn_ratio", "high", "distance to the nearest train image over that to the nearest held-out one; 1"),
        Column("authenticity", "high", "share of images that are no closer to a train image than train images are"),
    )
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"at most 2 x {RECORDS} attacked, {COMPARED} compared, {PARTS} parts, {SIZE} pixels"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"membership", "membership_auc", "nn_ratio", "authenticity"}, each with its interval.

        Raises:
            MissingScore: train is not at hand; fewer than two images of it or of the reference; no wavelet packets.
        """
        from dpbench.metrics.statistics import membership
        from dpbench.metrics.statistics.pixel_vectors import PixelVectors

        train, synthetic, reference = (
            PixelVectors(features, evaluation.spec.resolution, SIZE, PARTS)
            for features in (
                evaluation.train_features("wavelet-packet"),
                *evaluation.features("wavelet-packet"),
            )
        )
        fewer = min(len(train), len(reference))
        if fewer < 2:
            raise MissingScore("nearest neighbours need at least 2 train and 2 reference images")
        generator = evaluation.run.generator
        records = min(RECORDS, fewer)
        members, others = (synthetic.distances_from(real.at_most(records)) for real in (train, reference))
        x = synthetic.at_most(COMPARED)
        to_train, to_reference, authentic = _compared(x, train, reference, fewer)
        return {
            "membership": membership.advantage(members, others, generator),
            "membership_auc": membership.auc(members, others, generator),
            "nn_ratio": bootstrap.of_means(
                lambda means: means[:, 0] / means[:, 1], np.stack([to_train, to_reference], 1), generator
            ),
            "authenticity": bootstrap.mean(authentic, generator),
        }


def _compared(x: Array, train: PixelVectors, reference: PixelVectors, fewer: int) -> tuple[Array, Array, Array]:
    """Of each image of x: its mean distance to the nearest of `fewer` train and reference images, and authenticity."""
    in_train, to_train = train.nearest_in_parts(x, fewer)
    _, to_reference = reference.nearest_in_parts(x, fewer)
    part, rows = to_train.argmin(0), np.arange(len(x))
    closest, distance = in_train[part, rows], to_train[part, rows]
    if copies := int((distance < COPY).sum()):
        warnings.warn(f"{copies} of the {len(x)} synthetic images compared are copies of train images", Caveat, 2)
    originals, which = np.unique(closest, return_inverse=True)
    between = train.distances_from(train.rows(originals), besides=originals)[which]
    in_equal_parts = (d[: real.parts(fewer)].mean(0) for real, d in ((train, to_train), (reference, to_reference)))
    return *in_equal_parts, (distance > between).astype(np.float32)
