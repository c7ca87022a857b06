"""Bars with several captions each, which say how they lie; sensitive and public ones share only some words."""

from __future__ import annotations

from dataclasses import replace

from dpbench.contracts.small_sets import bars
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset

CAPTIONS = {
    "sensitive": ("a horizontal bar\nlying bar, horizontal", "a vertical bar\nstanding bar, vertical\nvertical"),
    "public": ("a horizontal line", "a vertical line"),
}

PROMPTS = ("a horizontal bar", "vertical bar")


def captioned_bars(kind: str, count: int) -> ArrayDataset:
    """Horizontal and vertical bars in turn; every tenth has no caption.

    Args:
        kind: "sensitive" or "public".
        count: number of records.
    """
    spec = DatasetSpec(f"{kind}-bars", 1, 16, count, 100, None, True)
    images = bars(spec, count, seed=len(kind)).batch(range(count)).images
    texts = ["" if i % 10 == 9 else CAPTIONS[kind][i % 2] for i in range(count)]
    return ArrayDataset(replace(spec, caption_bytes=60), images, texts)
