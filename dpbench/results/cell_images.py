"""The images of a row, for the report and figures: the first images of each class, without selection, as one picture.

Every row's picture has the same condition in the same cell: one row of cells per class, or per prompt. Without
conditions, cells hold the first images.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dpbench.core.captions import decode_captions, split_captions
from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch
from dpbench.results.sample_grid import pictures

MOST_ROWS, MOST_COLUMNS = 10, 6
PIXELS = 300_000
"""Maximum number of pixels of one picture: large images have fewer columns, down to 2."""

LARGEST = 128
"""Maximum side of a cell in pixels; larger images are scaled down."""

SEARCHED, BATCH = 5_000, 256
"""Number of images to search for the first ones of each condition, and number of images in memory at once."""


def conditions_of(images: ImageDataset) -> list[str]:
    """The condition of each row of cells: class names, or the prompts of the first images, or nothing."""
    if images.spec.condition == "captions":
        return list(dict.fromkeys(_captions(images.batch(range(min(len(images), BATCH))))))[:MOST_ROWS]
    return list((images.spec.classes or ())[:MOST_ROWS])


def picture_of(images: ImageDataset, conditions: Sequence[str]) -> dict[str, Any]:
    """The picture of a set of images.

    Args:
        images: samples, or a split of a public dataset.
        conditions: the conditions of the rows of cells; see `conditions_of`.

    Returns:
        "source", a data URI; "rows" and "columns" of cells; "side" of a cell in pixels.
    """
    side = min(images.spec.resolution, LARGEST)
    rows = len(conditions) or MOST_ROWS
    columns = min(MOST_COLUMNS, max(2, PIXELS // (rows * side**2)))
    canvas = Image.new("RGB" if images.spec.channels == 3 else "L", (columns * side, rows * side), 0)
    for row, found in enumerate(cells_of_images(images, conditions, rows, columns)):
        for column, picture in enumerate(found):
            canvas.paste(_cell(picture, side), (column * side, row * side))
    file = io.BytesIO()
    canvas.save(file, format="png", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"source": source, "rows": rows, "columns": columns, "side": side}


def cells_of_images(
    images: ImageDataset, conditions: Sequence[str], rows: int, columns: int
) -> list[list[NDArray[np.uint8]]]:
    """The images of each row of cells, uint8 [h, w] or [h, w, 3]; fewer if there are no more.

    Args:
        images: as for `picture_of`.
        conditions: one per row of cells; if there are none, or images have none, cells are filled from left to right.
        rows, columns: numbers of rows and columns of cells.
    """
    known = conditions if images.batch([0]).condition is not None else ()
    return [pictures(images, positions) for positions in _positions(images, known, len(conditions) or rows, columns)]


def _cell(picture: NDArray[np.uint8], side: int) -> Image.Image:
    image = Image.fromarray(picture)
    return image if image.width == side else image.resize((side, side), Image.Resampling.LANCZOS)


def _positions(images: ImageDataset, conditions: Sequence[str], rows: int, columns: int) -> list[list[int]]:
    """The positions of the images in each row of cells."""
    count = min(len(images), SEARCHED)
    if not conditions:
        return [list(range(row * columns, min((row + 1) * columns, count))) for row in range(rows)]
    found: dict[str, list[int]] = {condition: [] for condition in conditions}
    for start in range(0, count, BATCH):
        part = range(start, min(start + BATCH, count))
        for position, condition in zip(part, _shown(images.batch(part), images.spec.classes), strict=True):
            if len(found.get(condition, ())) < columns:
                found.setdefault(condition, []).append(position)
        if all(len(found[condition]) == columns for condition in conditions):
            break
    return [found[condition] for condition in conditions]


def _shown(batch: Batch, classes: Sequence[str] | None) -> list[str]:
    """The condition of each image: the name of its class, or its caption."""
    if batch.labels is None or classes is None:
        return _captions(batch)
    return [classes[label] for label in batch.labels.tolist()]


def _captions(batch: Batch) -> list[str]:
    """The first caption of each image; "" for an image without any."""
    assert batch.captions is not None
    return [next(iter(split_captions(text)), "") for text in decode_captions(batch.captions)]
