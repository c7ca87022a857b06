"""Memorisation: synthetic images that copy train images, and a membership inference attack."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.core.data import ImageDataset
from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation.caveats import Caveat
from dpbench.evaluation.stratified import Indices, stratified_order

if TYPE_CHECKING:
    from dpbench.metrics.statistics.nearest import Neighbours

MOST = 10_000  # maximum number of synthetic images
FEATURES = "fourier-magnitude"
SAME = 1e-3  # distance up to which the pixels of two images are compared
CLEAR = 2  # near copies get a caveat if they are this many half-widths of the interval away from chance
PAIRS = 1024  # pairs of images whose pixels are in memory at the same time


class Memorisation(Metric):
    """Copies of train images, and a membership attack.

    Both columns compare what synthetic images have in common with train images and with reference images, which the
    generator has not seen. If it memorises nothing, the two are alike, however good or bad its images are: 0 is chance.
    The interval covers the choice of the train and reference images. Values above chance show leakage; values below 0
    show that reference images were used. Chance-level values do not prove privacy: other leaks are not seen. No value
    is better than chance, so rows are not ranked by these columns.

    `copied`: the share of synthetic images that are near copies of train images, beyond chance. A near copy is less
    than half as far from its nearest real image as from the fifth nearest (`statistics.near_copies`). The value is 1 if
    all are copies of train images. If all are copies of reference images, it is minus the number of train images per
    reference image.

    `membership`: the advantage of a membership attack (`statistics.membership.advantage`) on all train and reference
    images; 1 means that every member is identified. It detects generators whose images are close to train images
    without being copies, and misses a small share of copies.

    Distances are between `fourier-magnitude` features, which mirroring, small shifts, noise, brightness and contrast
    hardly change. At most 10,000 synthetic images are used. Caveats give the number of exact copies of train images,
    and the number of near copies of train or reference images if it is far from chance.

    The metric uses the train split, so its values are not covered by the privacy guarantee (rule R9).
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("copied", None, "share of images that are near copies of train images, beyond chance; below 0: of test"),
        Column("membership", None, "advantage of a distance-based membership attack; 0 is chance, 1 is perfect"),
    )
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"v2, at most {MOST} images, halves drawn by class"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"copied", "membership"}, each with its interval.

        Raises:
            MissingScore: train is not available, train or reference has fewer than 5 images, or the resolution is
                below 8.
        """
        from dpbench.metrics.statistics.membership import advantage
        from dpbench.metrics.statistics.near_copies import NEIGHBOURS, copies_of, excess
        from dpbench.metrics.statistics.nearest import neighbours

        train, (synthetic, reference) = evaluation.train_features(FEATURES), evaluation.features(FEATURES)
        n, part = len(train), synthetic.part(MOST)
        if min(n, len(reference)) < NEIGHBOURS:
            raise MissingScore(f"memorisation needs at least {NEIGHBOURS} train and {NEIGHBOURS} reference images")
        found = neighbours(synthetic.rows(part), chain(train.blocks(), reference.blocks()), NEIGHBOURS)
        copies = copies_of(found.indices, found.distances, n + len(reference))
        copied = excess(copies[:n], copies[n:], len(part))
        for text in (
            *_exact(_exact_copies(found, part, evaluation.synthetic, evaluation.train), len(part)),
            *_near(copies[:n].sum(), copies[n:].sum(), n / len(reference), copied, len(part)),
        ):
            warnings.warn(text, Caveat, 2)
        orders = (stratified_order(features.labels, len(features)) for features in (train, reference))
        return {
            "copied": copied,
            "membership": advantage(found.closest[:n], found.closest[n:], *orders),
        }


def _exact(copies: int, compared: int) -> list[str]:
    return [f"{copies} of the {compared} synthetic images compared are copies of train images"] if copies else []


def _near(of_train: int, of_reference: int, ratio: float, copied: Estimate, compared: int) -> list[str]:
    """Caveats if there are far more near copies of train images, or of reference images, than by chance.

    Args:
        of_train, of_reference: number of synthetic images that are near copies.
        ratio: number of train images per reference image.
        copied: the column.
        compared: number of synthetic images.
    """
    if not abs(copied.value) > CLEAR * copied.ci95:
        return []
    trained = ("train", of_train, ratio * of_reference)
    split, copies, chance = trained if copied.value > 0 else ("reference", of_reference, of_train / ratio)
    return [
        f"{copies} of the {compared} synthetic images compared are near copies of {split} images (chance: {chance:.0f})"
    ]


def _exact_copies(found: Neighbours, part: Indices, synthetic: ImageDataset, train: ImageDataset) -> int:
    """The number of images of `part` that are equal to a train image among their neighbours."""
    query, place = np.nonzero((found.distances <= SAME) & (found.indices < len(train)))
    original = found.indices[query, place]
    starts = range(0, len(query), PAIRS)
    equal = [_equal(synthetic, part[query[k : k + PAIRS]], train, original[k : k + PAIRS]) for k in starts]
    return len(np.unique(query[np.concatenate(equal)])) if equal else 0


def _equal(x: ImageDataset, rows: Indices, y: ImageDataset, others: Indices) -> NDArray[np.bool_]:
    """Whether images of `x` at `rows` [b] have the same pixels as images of `y` at `others` [b]: [b]."""
    images, originals = x.batch(rows.tolist()).images, y.batch(others.tolist()).images
    assert images is not None  # an ImageDataset's batches hold images
    assert originals is not None
    return (images == originals).flatten(1).all(1).cpu().numpy()
