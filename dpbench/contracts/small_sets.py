"""Small sets of images with two classes, on which plugins are checked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset

CLASSES = ("horizontal", "vertical")


CAPTION_BYTES = 20


def bars_spec(
    size: int = 16, channels: int = 1, records: int = 200, classes: tuple[str, ...] | None = CLASSES
) -> DatasetSpec:
    """The declaration of a set of bars, a public benchmark."""
    return DatasetSpec("bars", channels, size, records, records // 2, classes, True)


def bars(spec: DatasetSpec, count: int, seed: int) -> ArrayDataset:
    """Bright bars on a dark ground: horizontal in class 0, vertical in class 1.

    Args:
        spec: what the set declares; its resolution is at least 13.
        count: number of images; classes take turns.
        seed: of the positions and of the ground.
    """
    images, labels = _images(spec, count, seed)
    return ArrayDataset(spec, images, labels if spec.classes else None)


def captioned_bars(spec: DatasetSpec, count: int, seed: int) -> ArrayDataset:
    """The same images with captions that say how a bar lies, in place of classes: "a horizontal bar"."""
    images, labels = _images(spec, count, seed)
    declared = replace(spec, classes=None, caption_bytes=CAPTION_BYTES)
    return ArrayDataset(declared, images, [f"a {CLASSES[label]} bar" for label in labels])


def _images(spec: DatasetSpec, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.integers(0, 30, (count, *spec.shape), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        start = random.integers(4, spec.resolution - 8)
        if label == 0:
            image[:, start : start + 5, :] += 200
        else:
            image[:, :, start : start + 5] += 200
    return images, labels
