"""A sheet of image pairs, before and after refinement: the first pairs, without selection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from dpbench.core.files import write_atomic
from dpbench.results.sample_grid import GAP, INK, MARGIN, font

if TYPE_CHECKING:
    from torch import Tensor

CELL = 128  # pixels; small images are enlarged by an integer factor to about this size
LARGEST = 1200  # maximum width and height of the grid of pairs in pixels
MOST = 4  # maximum number of columns, and of rows, of pairs
LINE = 18  # line height in pixels


class Pair(NamedTuple):
    """An image before and after refinement: uint8 [c, s, s] and [c, S, S], grey or colour."""

    name: str
    before: Tensor
    after: Tensor


def to_picture(image: Tensor) -> Image.Image:
    """uint8 [c, h, w] -> a grey (c = 1) or colour (c = 3) picture."""
    return Image.fromarray(image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).contiguous().numpy())


def write_sheet(path: Path, pairs: list[Pair], title: str) -> None:
    """Writes a PNG with the first pairs, at most `MOST`²: the image before, enlarged, to the left of the image after.

    Args:
        path: file to write.
        pairs: at least one, all of the same sizes.
        title: text above the images.
    """
    size = pairs[0].after.shape[-1]
    cell = size * max(1, round(CELL / size))
    columns, rows = (max(1, min(MOST, LARGEST // length)) for length in (2 * cell, cell))
    pairs = pairs[: columns * rows]
    width, height = 2 * cell + GAP + MARGIN, cell + LINE + MARGIN
    letters = font()
    canvas_width = max(MARGIN + min(columns, len(pairs)) * width, round(letters.getlength(title)) + 2 * MARGIN)
    top = 2 * MARGIN + LINE
    canvas = Image.new("RGB", (canvas_width, top + -(-len(pairs) // columns) * height), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, INK, letters)
    for number, pair in enumerate(pairs):
        x, y = MARGIN + number % columns * width, top + number // columns * height
        draw.text((x, y), _shortened(pair.name, width - MARGIN, letters), INK, letters)
        for place, image in enumerate((pair.before, pair.after)):
            picture = to_picture(image).resize((cell, cell), Image.Resampling.NEAREST)
            canvas.paste(picture, (x + place * (cell + GAP), y + LINE))
    write_atomic(path, lambda temporary: canvas.save(temporary, format="png"))


def _shortened(text: str, width: int, letters: ImageFont.FreeTypeFont) -> str:
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
