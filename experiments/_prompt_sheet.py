"""A sheet of samples for the same prompts: one row per prompt, one column per candidate and budget."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_atomic
from dpbench.results.sample_grid import GAP, INK, MARGIN, enlarged, font, paste_row, pictures
from dpbench.results.samples import StoredSamples

PROMPTS = 8
"""Rows of the sheet."""

LETTERS = 13
LINE = 16
WRAPPED, MOST_LINES = 26, 4
"""Characters per line of a prompt, and lines shown per prompt."""


class Column(NamedTuple):
    """One candidate at one budget.

    Attributes:
        candidate, budget: the two lines of the heading.
        samples: the images, which were drawn under prompts.
    """

    candidate: str
    budget: str
    samples: StoredSamples


def write_prompt_sheet(path: Path, columns: Sequence[Column], title: str) -> None:
    """Writes a PNG with the first image of each of the first prompts, without selection.

    Raises:
        DpbenchError: the columns have no prompt in common.
    """
    prompts, letters = common_prompts(columns), font(LETTERS)
    side = max(enlarged(columns[0].samples.spec.resolution), (MOST_LINES + 1) * LINE)
    lines = [textwrap.wrap(prompt, WRAPPED)[:MOST_LINES] for prompt in prompts]
    left = 2 * MARGIN + max(math.ceil(letters.getlength(line)) for wrapped in lines for line in wrapped)
    widths = [
        max(side, *(math.ceil(letters.getlength(text)) for text in (c.candidate, c.budget))) + MARGIN for c in columns
    ]
    lefts = [left + sum(widths[:number]) for number in range(len(columns))]
    top = 2 * MARGIN + 3 * LINE
    width = max(left + sum(widths), math.ceil(letters.getlength(title)) + 2 * MARGIN)
    canvas = Image.new("RGB", (width, top + len(prompts) * (side + GAP) + MARGIN), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, INK, letters)
    for row, wrapped in enumerate(lines):
        draw.multiline_text((MARGIN, top + row * (side + GAP)), "\n".join(wrapped), INK, letters)
    for x, column in zip(lefts, columns, strict=True):
        draw.multiline_text((x, MARGIN + LINE), f"{column.candidate}\n{column.budget}", INK, letters)
        texts = _texts(column)
        for row, picture in enumerate(pictures(column.samples, [texts.index(prompt) for prompt in prompts])):
            paste_row(canvas, [picture], x, top + row * (side + GAP), side)
    write_atomic(path, lambda temporary: canvas.save(temporary, format="png", optimize=True))


def common_prompts(columns: Sequence[Column]) -> list[str]:
    """The first `PROMPTS` prompts for which all columns have images.

    Raises:
        DpbenchError: there is none.
    """
    others = [set(_texts(column)) for column in columns[1:]]
    found = [prompt for prompt in dict.fromkeys(_texts(columns[0])) if all(prompt in texts for texts in others)]
    if not found:
        raise DpbenchError("the trials were sampled under different prompts; run them again with the same --prompts")
    return found[:PROMPTS]


def _texts(column: Column) -> tuple[str, ...]:
    return column.samples.conditions.texts or ()
