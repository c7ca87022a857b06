"""Memorisation: a membership inference attack, and distances from synthetic images to train images."""

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

RECORDS = 2000  # maximum number of train images, and of reference images, in the membership attack
COMPARED = 1000  # maximum number of synthetic images whose nearest train image is searched
PARTS = 10  # maximum number of equal parts that the larger of train and reference is split into
SIZE = 32  # pixels; larger images are compared by block means
COPY = 1e-3  # distance of pixels in [0, 1] below which an image is a copy: a quarter of a grey level in one pixel


class Memorisation(Metric):
    """Membership attack and nearest-neighbour distances.

    Nearest neighbours by pixel distance: a membership attack, a distance ratio, and authenticity. The metric uses the
    train split, so its values are not covered by the privacy guarantee (rule R9). A DP method should be at chance level
    in all columns. The attacks are simple: chance-level scores do not prove privacy; above-chance scores show leakage.

    `membership`: the advantage of the attack (`statistics.membership.advantage`) on at most 2,000 train images and
    equally many reference images. 0 is chance; 1 means that every member is identified. `membership_auc` is the area
    under the attack's ROC curve; 0.5 is chance.

    `nn_ratio`: the mean distance of synthetic images to their nearest train image, divided by that to their nearest
    reference image (van den Burg and Williams, arXiv 2106.03216, explain why held-out images are the baseline). Both
    are nearest neighbours among the same number of images, so 1 is chance; below 1 indicates memorisation. The larger
    set is split into parts of that size, and distances are averaged over the parts. A copy of a train image is close to
    one part only, so a generator that only copies scores 1 - 1 / parts. Unlike a mean of ratios, this ratio of means is
    1 at chance for any spread of distances. The interval is over synthetic images; it does not cover the choice of the
    train and test images.

    `authenticity` (Alaa et al., arXiv 2102.08921): the share of synthetic images that are farther from their nearest
    train image than that train image is from its nearest other train image. Copies give 0. The chance level depends on
    the data: compare with the `real` row.

    `nn_ratio` (up to 10 parts) and `authenticity` use all train images and at most 1,000 synthetic images. A caveat
    gives the number of copies of train images among them. Distances are between `wavelet-packet`
    features, a rotation of the pixels; images above 32 pixels are compared by block means of at most 32 x 32.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("membership", "low", "advantage of a distance-based membership attack; 0 is chance, 1 is perfect"),
        Column("membership_auc", "low", "area under the ROC curve of the membership attack; 0.5 is chance"),
        Column("nn_ratio", "high", "distance to the nearest train image over that to held-out images; 1 is chance"),
        Column("authenticity", "high", "share of images farther from train images than train images from each other"),
    )
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"v1, at most 2 x {RECORDS} attacked, {COMPARED} compared, {PARTS} parts, {SIZE} pixels"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"membership", "membership_auc", "nn_ratio", "authenticity"}, each with its interval.

        Raises:
            MissingScore: train is not available, train or reference has fewer than two images, or the resolution has
                no wavelet packets.
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
    """Mean nearest-neighbour distances and authenticity.

    Args:
        x: synthetic images [q, d].
        train, reference: the images to search.
        fewer: number of images in each part that is searched.

    Returns:
        For each image of x: its mean distance to the nearest of `fewer` train images, the same for reference images,
        and 1 if it is authentic, else 0: [q] each.
    """
    in_train, to_train = train.nearest_in_parts(x, fewer)
    _, to_reference = reference.nearest_in_parts(x, fewer)
    part, rows = to_train.argmin(0), np.arange(len(x))
    closest, distance = in_train[part, rows], to_train[part, rows]
    if copies := int((distance < COPY).sum()):
        warnings.warn(f"{copies} of the {len(x)} synthetic images compared are copies of train images", Caveat, 2)
    originals, which = np.unique(closest, return_inverse=True)
    least = np.full(len(originals), np.inf, dtype=np.float32)
    np.minimum.at(least, which, distance)  # an image nearer to its original than this makes all its queries authentic
    between = train.distances_from(train.rows(originals), exclude=originals, enough=least)[which]
    in_equal_parts = (d[: real.parts(fewer)].mean(0) for real, d in ((train, to_train), (reference, to_reference)))
    return *in_equal_parts, (distance > between).astype(np.float32)
