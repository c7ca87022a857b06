"""samples.png: the first samples of each class, one row per class with its name, without selection."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dpbench.core.data import ImageDataset
from dpbench.core.files import write_atomic
from dpbench.results.samples import StoredSamples

COLUMNS = 12
MOST_ROWS = 20
CELL = 64  # pixels; small images are enlarged by an integer factor to about this size
GAP = 2
MARGIN = 8
INK = (40, 40, 40)


def write_grid(path: Path, samples: StoredSamples, title: str) -> None:
    """Writes a PNG grid of samples: one row per class that has any (the first `MOST_ROWS`), or `COLUMNS` rows.

    Args:
        path: file to write.
        samples: at least one image.
        title: text above the images.
    """
    rows = _rows(samples)
    names = [name for name, _ in rows]
    cell = enlarged(samples.spec.resolution) + GAP
    letters = font()
    left = MARGIN + max(math.ceil(letters.getlength(name)) for name in names) + (MARGIN if any(names) else 0)
    top = 2 * MARGIN + 16
    width = max(left + COLUMNS * cell, MARGIN + math.ceil(letters.getlength(title))) + MARGIN
    canvas = Image.new("RGB", (width, top + len(rows) * cell + MARGIN), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, INK, letters)
    for row, (name, indices) in enumerate(rows):
        y = top + row * cell
        draw.text((left - MARGIN, y + cell // 2), name, INK, letters, anchor="rm")
        paste_row(canvas, pictures(samples, indices), left, y, cell - GAP)
    write_atomic(path, lambda temporary: canvas.save(temporary, format="png"))


def font(size: int = 13) -> ImageFont.FreeTypeFont:
    """The DejaVu font shipped with matplotlib; unlike Pillow's own font it has Greek letters."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)


def enlarged(resolution: int) -> int:
    """The side of a drawn image in pixels: an integer multiple of its resolution."""
    return resolution * max(1, round(CELL / resolution))


def paste_row(canvas: Image.Image, row: Iterable[NDArray[np.uint8]], left: int, top: int, side: int) -> None:
    """Draws images from left to right, `side` pixels high and wide, `GAP` pixels apart."""
    for column, picture in enumerate(row):
        image = Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
        canvas.paste(image, (left + column * (side + GAP), top))


def _rows(samples: StoredSamples) -> list[tuple[str, list[int]]]:
    """(class name, positions of its first samples) for every row."""
    if samples.labels is None or not samples.spec.classes:
        starts = range(0, min(len(samples), COLUMNS**2), COLUMNS)
        return [("", list(range(s, min(s + COLUMNS, len(samples))))) for s in starts]
    return [
        (samples.spec.classes[number], np.flatnonzero(samples.labels == number)[:COLUMNS].tolist())
        for number in np.unique(samples.labels)[:MOST_ROWS]
    ]


def pictures(dataset: ImageDataset, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
    """RGB or grey arrays [h, w, 3] or [h, w] that PIL understands."""
    if not indices:
        return []
    images = dataset.batch(indices).images
    assert images is not None
    arrays = images.numpy().transpose(0, 2, 3, 1)  # [b, h, w, c]
    return [a[..., 0] if a.shape[-1] == 1 else a for a in arrays]
