"""The table style that most pages share: a bold title, a line below the headings, no other borders."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


def simple_table(title: str, *headings: str, left: int) -> Table:
    """An empty table.

    Args:
        title: printed above the table; "" for none.
        headings: one per column.
        left: number of left-aligned columns; the columns after them are right-aligned.
    """
    heading = Text(title, style="bold") if title else None
    table = Table(*headings, title=heading, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.columns[0].no_wrap = True  # names can be copied
    for column in table.columns[:left]:
        column.overflow = "fold"
    for column, words in zip(table.columns[left:], map(str.split, headings[left:]), strict=True):
        column.justify, column.min_width = "right", max(map(len, words))
    return table
