"""The sheet of a whole run: groups of images side by side, the same class in the same row, without selection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from dpbench.core.data import ImageDataset
from dpbench.core.files import write_atomic
from dpbench.results.sample_grid import GAP, INK, MARGIN, MOST_ROWS, enlarged, font, paste_row, pictures

LETTERS = 15  # pixels; a scaled-down sheet stays legible
LINE = 20  # height of a line of text in pixels
SPACE = 14  # between groups
WIDEST = 1450  # groups show fewer images per row before the sheet gets wider
FEWEST_COLUMNS, MOST_COLUMNS = 2, 6  # images per row of a group
PLAIN_ROWS = 8  # rows of a group without classes
BATCH = 256
CONTENT = "content"  # a text in the file


class Group(NamedTuple):
    """Images under one heading.

    Attributes:
        method: the method that made them; groups of one method share its name as a heading.
        heading: what distinguishes them from the method's other groups.
        images: a dataset.
        positions: the images that may be shown; the first ones of each class are shown.
    """

    method: str
    heading: str
    images: ImageDataset
    positions: Sequence[int]


def write_run_sheet(path: Path, groups: Sequence[Group], title: str, content: str = "") -> None:
    """Writes a PNG: one column of images per group, one row per class (the first `MOST_ROWS`).

    Groups show at most `MOST_COLUMNS` images of each class, and fewer with more groups, but at least `FEWEST_COLUMNS`.
    Without classes, a group is a grid of its first images.

    Args:
        path: file to write.
        groups: at least one, all of the same shape and classes; groups of one method are consecutive.
        title: text above the images.
        content: a hash of everything that the sheet shows, kept in the file for `content_of`.
    """
    spec, letters = groups[0].images.spec, font(LETTERS)
    names = spec.classes[:MOST_ROWS] if spec.classes else ("",) * PLAIN_ROWS
    side = enlarged(spec.resolution)
    left = MARGIN + max(_width(name, letters) for name in names) + (MARGIN if spec.classes else 0)
    columns = _columns(len(groups), left, side + GAP)
    widths = [max(columns * (side + GAP) - GAP, _width(group.heading, letters)) for group in groups]
    lefts = [left + sum(widths[:number]) + number * SPACE for number in range(len(groups))]
    spans = _spans(groups, lefts, widths, letters)
    head = 2 * MARGIN + LINE
    under = head + max(len(span.lines) for span in spans) * LINE + MARGIN
    top = under + LINE + GAP
    right = max(lefts[-1] + widths[-1], MARGIN + _width(title, letters))
    canvas = Image.new("RGB", (right + MARGIN, top + len(names) * (side + GAP) + MARGIN), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, INK, letters)
    for span in spans:
        for number, line in enumerate(reversed(span.lines), start=1):
            draw.text((span.left, under - MARGIN // 2 - number * LINE), line, INK, letters)
        draw.line((span.left, under - MARGIN // 2, span.right, under - MARGIN // 2), INK)
    for row, name in enumerate(names):
        draw.text((left - MARGIN, top + row * (side + GAP) + side // 2), name, INK, letters, anchor="rm")
    for group, x in zip(groups, lefts, strict=True):
        draw.text((x, under), group.heading, INK, letters)
        for row, indices in enumerate(_first(group, len(names), columns)):
            paste_row(canvas, pictures(group.images, indices), x, top + row * (side + GAP), side)
    text = PngInfo()
    text.add_text(CONTENT, content)
    write_atomic(path, lambda temporary: canvas.save(temporary, format="png", pnginfo=text))


def content_of(path: Path) -> str:
    """The content that a sheet was written with; "" if there is none, or the file is missing or damaged."""
    try:
        with Image.open(path) as sheet:
            sheet.verify()
            return str(sheet.info.get(CONTENT, ""))
    except Exception:  # damaged pictures raise all kinds of errors
        return ""


def _columns(groups: int, left: int, cell: int) -> int:
    """Images per row of a group."""
    fitting = (WIDEST - left) // groups - SPACE
    return min(MOST_COLUMNS, max(FEWEST_COLUMNS, fitting // cell))


class _Span(NamedTuple):
    """A method's name above its groups."""

    lines: list[str]
    left: int
    right: int


def _spans(
    groups: Sequence[Group], lefts: Sequence[int], widths: Sequence[int], letters: ImageFont.FreeTypeFont
) -> list[_Span]:
    spans = []
    for method, members in groupby(range(len(groups)), lambda number: groups[number].method):
        numbers = list(members)
        left, right = lefts[numbers[0]], lefts[numbers[-1]] + widths[numbers[-1]]
        spans.append(_Span(_wrapped(method, right - left, letters), left, right))
    return spans


def _wrapped(text: str, width: int, letters: ImageFont.FreeTypeFont) -> list[str]:
    """`text` in lines of at most `width` pixels, broken after a space or comma if there is one."""
    lines = []
    while text:
        fitting = next((n for n in range(len(text), 1, -1) if letters.getlength(text[:n]) <= width), 1)
        if fitting < len(text):
            fitting = max(text.rfind(mark, 0, fitting) + 1 for mark in " ,") or fitting
        lines.append(text[:fitting].strip())
        text = text[fitting:].strip()
    return lines


def _first(group: Group, rows: int, columns: int) -> list[list[int]]:
    """The positions of the images of each row, in order."""
    if not group.images.spec.classes:
        return [list(group.positions[row * columns : (row + 1) * columns]) for row in range(rows)]
    found: list[list[int]] = [[] for _ in range(rows)]
    for start in range(0, len(group.positions), BATCH):
        part = group.positions[start : start + BATCH]
        labels = group.images.batch(part).labels
        assert labels is not None
        for position, label in zip(part, labels.tolist(), strict=True):
            if label < rows and len(found[label]) < columns:
                found[label].append(position)
        if all(len(row) == columns for row in found):
            break
    return found


def _width(text: str, letters: ImageFont.FreeTypeFont) -> int:
    return math.ceil(letters.getlength(text))
