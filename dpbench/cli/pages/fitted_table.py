"""A leaderboard table that fits the console: numbers stay whole, names are shortened, the last columns are dropped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain, count, pairwise
from typing import NamedTuple

import pandas as pd
from rich.box import HEAVY_HEAD, Box
from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from dpbench.core.metric import Column
from dpbench.results.rounding import budget, rounded
from dpbench.results.row import CI95

METHOD = "method"
"""Heading of the first column."""

LEAST = 23
"""Names are not shortened below this number of characters to make room for another column."""

LEAST_TITLE = 14
"""Characters that a title keeps beside its marks; with less room, the marks go to the next line."""


class Name(NamedTuple):
    """The name of a line.

    Attributes:
        title: method and variant; it may be shortened.
        marks: the text after the title, never shortened: " (public) ¹".
    """

    title: str
    marks: str = ""

    def __str__(self) -> str:
        return self.title + self.marks


class FittedTable:
    """A table with as many columns as fit the console; a note below it lists what was left out or shortened.

    Args:
        lines: the lines in order; see `results.over_seeds.aggregate`.
        columns: the metrics' columns to show, the most important one first.
        names: one per line.
    """

    def __init__(self, lines: pd.DataFrame, columns: Sequence[Column], names: Sequence[Name]):
        self.lines, self.columns, self.names = lines, columns, names

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        headings, cells = headings_of(self.lines, self.columns), cells_of(self.lines, self.columns)
        widths = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
        longest = max(len(METHOD), *(cell_len(str(name)) for name in self.names))
        kept, padding, room = self._fit(widths, longest, options.max_width)
        short = shortened(self.names, max(LEAST_TITLE, min(longest, room)))
        names = [short[title] + marks for title, marks in self.names]
        width = max(cell_len(METHOD), min(max(map(cell_len, names)), max(room, LEAST_TITLE)))
        shown = len(headings) - len(self.columns) + kept
        rows = [(METHOD, *headings[:shown]), *((name, *row[:shown]) for name, row in zip(names, cells, strict=True))]
        sections = (self.lines["reference"] + self.lines["epsilon"].map(str)).tolist()
        last = [section != following for section, following in pairwise([*sections, sections[-1]])]
        bold = self.lines["rank"].eq(1).fillna(False).tolist()
        box = HEAVY_HEAD.substitute(options)
        yield from _framed(box, rows, 1 + headings.index("track"), last, bold, padding, width)
        if left_out := [column.name for column in self.columns[kept:]]:
            yield Text(f"no room for {', '.join(left_out)}; `dpbench leaderboard --columns NAMES`", style="dim")
        for title, text in short.items():
            if text != title:
                yield Text(f"{text} = {title}", style="dim")

    def _fit(self, widths: Sequence[int], longest: int, width: int) -> tuple[int, int, int]:
        """The number of metrics' columns, the spaces beside a cell, and what they leave for the first column.

        The last columns go first, until the names have `LEAST` characters, then the spaces.

        Args:
            widths: of all columns but the first.
            longest: width of the longest name.
            width: of the console.
        """
        others, fewest = len(widths) - len(self.columns), min(1, len(self.columns))
        for kept, padding in [*((number, 1) for number in range(len(self.columns), fewest - 1, -1)), (fewest, 0)]:
            shown = others + kept
            room = width - (sum(widths[:shown]) + (2 * padding + 1) * (shown + 1) + 1)
            if room >= min(longest, LEAST):
                break
        return kept, padding, room


def shortened(names: Sequence[Name], width: int) -> dict[str, str]:
    """Title -> the title, shortened in the middle if its name has more than `width` characters; all stay distinct.

    Marks that leave a title too little room are not counted: they go to the next line.
    """
    long = {name.title for name in names if cell_len(str(name)) > width}
    found = {name.title: name.title for name in names if name.title not in long}
    for title in dict.fromkeys(name.title for name in names if name.title in long):
        marks = [cell_len(name.marks) for name in names if name.title == title]
        room = width - max((size for size in marks if width - size >= LEAST_TITLE), default=0)
        found[title] = next(text for text in _candidates(title, room) if text not in found.values())
    return found


def _candidates(title: str, width: int) -> Iterator[str]:
    """The title, if it fits, or "wave…=100", "wav…2…100", "wav…3…100" and so on."""
    if cell_len(title) <= width:
        yield title
    for gap in chain("…", (f"…{number}…" for number in count(2))):
        kept = max(2, width - len(gap))
        yield f"{title[: (kept + 1) // 2]}{gap}{title[-(kept // 2) :]}"


def _framed(
    box: Box,
    rows: Sequence[Sequence[str]],
    left: int,
    last: Sequence[bool],
    bold: Sequence[bool],
    padding: int,
    width: int,
) -> Iterator[Text]:
    """The lines of a table. Rich's own table takes a second per thousand lines.

    Args:
        rows: the cells: first the headings, then one row per line.
        left: the number of the second column that is left-aligned, beside the first.
        last: whether a line ends a section.
        bold: whether a line is bold.
        padding: spaces beside a cell.
        width: width of the first column; longer names continue on the next line.
    """
    widths = [width, *(max(map(cell_len, column)) for column in list(zip(*rows, strict=True))[1:])]
    beside = " " * padding

    def line(cells: Sequence[str], edges: tuple[str, str, str], style: str) -> Text:
        texts = [set_cell_size(cell, size) if number in (0, left) else " " * (size - cell_len(cell)) + cell
                 for number, (cell, size) in enumerate(zip(cells, widths, strict=True))]  # fmt: skip
        opening, between, closing = edges
        row = f"{beside}{between}{beside}".join(texts)
        return Text(f"{opening}{beside}{row}{beside}{closing}", style, no_wrap=True, overflow="crop")

    spans = [size + 2 * padding for size in widths]
    head, mid = (box.head_left, box.head_vertical, box.head_right), (box.mid_left, box.mid_vertical, box.mid_right)
    yield Text(box.get_top(spans), no_wrap=True, overflow="crop")
    yield line(rows[0], head, "bold")
    yield Text(box.get_row(spans, "head"), no_wrap=True, overflow="crop")
    for (name, *cells), ends, best in zip(rows[1:], last, bold, strict=True):
        for number, part in enumerate(chop_cells(name, width)):
            yield line([part, *(cells if number == 0 else [""] * len(cells))], mid, "bold" if best else "")
        if ends:
            yield Text(box.get_row(spans, "row"), no_wrap=True, overflow="crop")
    yield Text(box.get_bottom(spans), no_wrap=True, overflow="crop")


def headings_of(lines: pd.DataFrame, columns: Sequence[Column]) -> list[str]:
    """The headings of all columns but the first.

    Args:
        lines: the lines with their ranks.
        columns: the metrics' columns.
    """
    return ["ε", "track", "rank", *(["seeds"] if _has_seeds(lines) else []), *(column.heading for column in columns)]


def cells_of(lines: pd.DataFrame, columns: Sequence[Column]) -> list[list[str]]:
    """The cells below the headings, line by line, rounded."""
    seeds = ["seeds"] if _has_seeds(lines) else []
    return [
        [
            "" if math.isnan(line["epsilon"]) else budget(line["epsilon"]),
            line["track"],
            "" if pd.isna(line["rank"]) else str(line["rank"]),
            *(str(line[name]) for name in seeds),
            *(rounded(line[column.name], line[column.name + CI95]) for column in columns),
        ]
        for line in lines.to_dict("records")
    ]


def _has_seeds(lines: pd.DataFrame) -> bool:
    return bool((lines["seeds"] > 1).any())
