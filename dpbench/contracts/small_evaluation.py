"""The images on which metrics and extractors are checked: a few, with a striking structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dpbench.contracts.small_sets import bars, bars_spec
from dpbench.core.cache import PublicCache
from dpbench.core.captions import decode_captions
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch
from dpbench.data.arrays import ArrayDataset, Subset
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.shared import SharedEvaluation

COUNT = 24
SPEC = bars_spec(size=32, records=COUNT)


def small_bars(count: int, seed: int) -> ImageDataset:
    """A set of bars with classes; the metrics of most plugins can be computed on them."""
    return bars(SPEC, count, seed)


def synthetic_bars() -> ImageDataset:
    """Images that look like the reference."""
    return small_bars(COUNT, seed=5)


def noise_like(images: ImageDataset) -> ImageDataset:
    """White noise with the labels or captions of the images."""
    noise = np.random.default_rng(6).integers(0, 256, (len(images), *images.spec.shape), dtype=np.uint8)
    batch = images.batch(range(len(images)))
    return ArrayDataset(images.spec, noise, batch.labels if batch.captions is None else decode_captions(batch.captions))


def without_conditions(images: ImageDataset) -> ImageDataset:
    """The same images without labels or captions."""
    pixels = images.batch(range(len(images))).images
    assert pixels is not None
    return ArrayDataset(replace(images.spec, classes=None, caption_bytes=0), pixels, None)


def shuffled(images: ImageDataset) -> ImageDataset:
    """The same images, with their labels or captions, in another order."""
    return Subset(images, np.random.default_rng(7).permutation(len(images)))


class Watched(ImageDataset):
    """A split that counts how often it was read.

    Attributes:
        reads: number of calls of `batch`.
    """

    def __init__(self, dataset: ImageDataset):
        self.spec = dataset.spec
        self.dataset = dataset
        self.reads = 0

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, indices: Sequence[int]) -> Batch:
        """See `ImageDataset.batch`."""
        self.reads += 1
        return self.dataset.batch(indices)

    @property
    def fingerprint(self) -> str:
        """See `ImageDataset.fingerprint`."""
        return self.dataset.fingerprint


def small_evaluation(
    folder: Path,
    synthetic: ImageDataset | None = None,
    reference: ImageDataset | None = None,
    train: ImageDataset | None = None,
) -> SharedEvaluation:
    """An evaluation on sets of bars, unless other sets are given.

    Args:
        folder: where features are kept; evaluations in one folder share the features of real images.
    """
    return SharedEvaluation(
        synthetic or synthetic_bars(),
        reference or small_bars(COUNT, seed=4),
        RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(folder / "public")),
        train or small_bars(2 * COUNT, seed=3),
        folder / "synthetic",
        EvaluationCache(folder / "real"),
    )
