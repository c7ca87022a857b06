"""The image sets of `coverage.py`: disjoint draws of one split, and faults of sets of samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.data.arrays import ArrayDataset
from dpbench.evaluation.image_part import ImagePart
from dpbench.evaluation.labels import labels_of

Change = Callable[[Tensor, np.random.Generator], Tensor]
"""uint8 images [b, c, h, w] -> changed ones."""


@dataclass(frozen=True)
class Sets:
    """The image sets of one evaluation."""

    train: ImageDataset
    test: ImageDataset
    samples: ImageDataset


class Draws:
    """Disjoint random parts of a split; images of a train split are draws of one distribution.

    Args:
        pool: the split.
        samples, train, test: number of images in each part.
        draws: number of sets of samples, besides a spare one.

    Raises:
        DataError: the split has too few images.
    """

    def __init__(self, pool: ImageDataset, samples: int, train: int, test: int, draws: int):
        needed = train + test + (draws + 1) * samples
        if needed > len(pool):
            raise DataError(
                f"{pool.spec.name} has {len(pool)} images, and {needed} are needed: lower --draws or a size"
            )
        self._pool, self._samples, self._train, self._test = pool, samples, train, test

    def samples_anew(self, number: int) -> Sets:
        """Draw `number` of the samples; train and test are always the same."""
        return self._sets(np.random.default_rng(0), number)

    def all_anew(self, number: int) -> Sets:
        """Samples, train and test drawn anew. The sets of two numbers overlap by chance."""
        return self._sets(np.random.default_rng([1, number]), 0)

    def _sets(self, rng: np.random.Generator, number: int) -> Sets:
        order, used = rng.permutation(len(self._pool)), self._train + self._test
        start = used + number * self._samples
        parts = order[: self._train], order[self._train : used], order[start : start + self._samples]
        return Sets(*(ImagePart(self._pool, part) for part in parts))


@dataclass(frozen=True)
class Images:
    """Images in memory: uint8 [n, c, h, w], and their labels, int64 [n], or None."""

    pixels: Tensor
    labels: Tensor | None

    def at(self, rows: Tensor) -> Images:
        return Images(self.pixels[rows], None if self.labels is None else self.labels[rows])


@dataclass(frozen=True)
class Originals:
    """The sets from which corrupted sets are made; `spare` is a second draw of samples."""

    train: Images
    test: Images
    samples: Images
    spare: Images
    rng: np.random.Generator


def corrupted(name: str, draws: Draws) -> Sets:
    """Draw 1 of the samples, with a corruption of `CORRUPTIONS`."""
    sets, spare = draws.samples_anew(1), draws.samples_anew(0).samples
    originals = Originals(*map(_read, (sets.train, sets.test, sets.samples, spare)), np.random.default_rng(2))
    made = CORRUPTIONS[name](originals)
    samples = ArrayDataset(sets.samples.spec, made.pixels, None if made.labels is None else made.labels.numpy())
    return Sets(sets.train, sets.test, samples)


def _read(images: ImageDataset) -> Images:
    pixels, labels = images.batch(range(len(images))).images, labels_of(images)
    assert pixels is not None
    return Images(pixels, None if labels is None else torch.from_numpy(labels))


def _planted(role: str, share: float, change: Change, originals: Originals) -> Images:
    """Samples with a share replaced by changed images of train or test, with their labels."""
    samples, source, rng = originals.samples, getattr(originals, role), originals.rng
    count = round(share * len(samples.pixels))
    rows = torch.from_numpy(rng.permutation(len(samples.pixels))[:count])
    found = source.at(torch.from_numpy(rng.choice(len(source.pixels), count, replace=count > len(source.pixels))))
    pixels = samples.pixels.index_copy(0, rows, change(found.pixels, rng))
    if samples.labels is None:
        return Images(pixels, None)
    return Images(pixels, samples.labels.index_copy(0, rows, found.labels))


def _same(images: Tensor, rng: np.random.Generator) -> Tensor:
    return images


def _noisy(images: Tensor, rng: np.random.Generator) -> Tensor:
    noise = torch.from_numpy(rng.normal(0, 4, images.shape).astype(np.float32))
    return (images + noise).round().clamp(0, 255).to(torch.uint8)


def _shifted(images: Tensor, rng: np.random.Generator) -> Tensor:
    return torch.cat([images[..., :1], images[..., :-1]], -1)


def _mirrored(images: Tensor, rng: np.random.Generator) -> Tensor:
    return images.flip(-1)


def _one_bit(images: Tensor, rng: np.random.Generator) -> Tensor:
    changed = images.clone()
    changed[:, 0, 0, 0] ^= 1
    return changed


def _one_image(originals: Originals) -> Images:
    samples = originals.samples
    return Images(samples.pixels[:1].expand_as(samples.pixels).clone(), samples.labels)


def _one_image_per_class(originals: Originals) -> Images:
    samples = originals.samples
    assert samples.labels is not None
    _, first = np.unique(samples.labels.numpy(), return_index=True)
    number = np.searchsorted(samples.labels.numpy()[first], samples.labels.numpy())
    return Images(samples.pixels[torch.from_numpy(first[number])], samples.labels)


def _without_classes(share: float, originals: Originals) -> Images:
    """Samples and spare ones without the first classes, at least one, as many as there were samples if possible."""
    both = [torch.cat(pair) for pair in zip(*(_parts(s) for s in (originals.samples, originals.spare)), strict=True)]
    pixels, labels = both
    classes = labels.unique()
    kept = torch.isin(labels, classes[max(1, round(share * len(classes))) :])
    rows = kept.nonzero().flatten()[: len(originals.samples.pixels)]
    return Images(pixels[rows], labels[rows])


def _parts(images: Images) -> tuple[Tensor, Tensor]:
    assert images.labels is not None
    return images.pixels, images.labels


def _blurred(originals: Originals) -> Images:
    padded = F.pad(originals.samples.pixels.float(), (1, 1, 1, 1), mode="replicate")
    return Images(F.avg_pool2d(padded, 3, 1).round().to(torch.uint8), originals.samples.labels)


def _wrong_labels(originals: Originals) -> Images:
    pixels, labels = _parts(originals.samples)
    classes, rng = len(labels.unique()), originals.rng
    wrong = torch.from_numpy(rng.random(len(labels)) < 0.1)
    other = (labels + torch.from_numpy(rng.integers(1, max(classes, 2), len(labels)))) % classes
    return Images(pixels, torch.where(wrong, other, labels))


CORRUPTIONS: dict[str, Callable[[Originals], Images]] = {
    **{f"{share}% copies of train": partial(_planted, "train", share / 100, _same) for share in (5, 20, 100)},
    **{f"{share}% copies with noise, sd 4": partial(_planted, "train", share / 100, _noisy) for share in (20, 100)},
    **{f"{share}% copies shifted by 1 pixel": partial(_planted, "train", share / 100, _shifted) for share in (20, 100)},
    **{f"{share}% copies mirrored": partial(_planted, "train", share / 100, _mirrored) for share in (20, 100)},
    "20% copies of test": partial(_planted, "test", 0.2, _same),
    "100% copies of test, one bit changed": partial(_planted, "test", 1.0, _one_bit),
    "one image": _one_image,
    "one image per class": _one_image_per_class,
    "one class missing": partial(_without_classes, 0.0),
    "half of the classes missing": partial(_without_classes, 0.5),
    "blurred, 3 x 3": _blurred,
    "10% of labels wrong": _wrong_labels,
}
"""Name -> function that makes the set."""
OF_CLASSES = {"one image per class", "one class missing", "half of the classes missing", "10% of labels wrong"}
"""Corruptions that need classes."""
