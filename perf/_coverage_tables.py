"""The tables of `coverage.py`: the spread of honest draws, and the shift of each score on corrupted sets."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.markup import escape
from rich.table import Table

from dpbench.results.metric_columns import owners
from perf._coverage_cells import ALL_ANEW, REAL, SAMPLES_ANEW, Cell, Found

Results = Mapping[Cell, Found]
NAME = 38  # characters of the widest first column
HONEST = (SAMPLES_ANEW, ALL_ANEW)


@dataclass(frozen=True)
class Sheet:
    """A table as text: a title, a sentence on how to read it, column headings, and rows."""

    title: str
    note: str
    heads: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    are_numbers: bool = True  # in all columns but the first

    def for_terminal(self) -> Table:
        table = Table(title=f"\n{self.title}\n{self.note}", title_justify="left", title_style="bold")
        for number, head in enumerate(self.heads):
            is_number = number > 0 and self.are_numbers
            table.add_column(head, justify="right" if is_number else "left", no_wrap=number == 0 or is_number)
        for row in self.rows:
            table.add_row(*map(escape, row))
        return table

    def markdown(self) -> str:
        rule = "---:" if self.are_numbers else "---"
        lines = [self.heads, ["---", *[rule] * (len(self.heads) - 1)], *self.rows]
        return "\n".join([f"## {self.title}", "", self.note, "", *(f"| {' | '.join(line)} |" for line in lines), ""])


@dataclass(frozen=True)
class Draw:
    """A score's value and the half-width of its interval, NaN without one."""

    value: float
    ci95: float


def scores(results: Results) -> list[str]:
    """The columns that have a value in any honest draw."""
    honest = [found for cell, found in results.items() if cell.images in HONEST]
    return list(dict.fromkeys(c for found in honest for c, value in found.values.items() if value is not None))


def of(results: Results, images: str, column: str) -> list[Draw]:
    """The values of a column, one for each draw of the images that has one."""
    found = [found for cell, found in results.items() if cell.images == images]
    values = ((f.values.get(column), f.ci95.get(column, math.nan)) for f in found)
    return [Draw(value, ci95) for value, ci95 in values if value is not None]


def is_off(draw: Draw, real: Sequence[Draw]) -> bool:
    """Whether a value differs from the `real` row by more than both intervals; False without intervals."""
    return any(abs(draw.value - r.value) > math.hypot(draw.ci95, r.ci95) for r in real)


def honest_sheet(results: Results) -> Sheet:
    """One row per score: its mean, its ±, its spread over fresh draws, and how often the interval misses."""
    note = (
        "Mean and ± of all draws; 1.96 standard deviations over fresh draws of the samples, and of all sets, each with "
        "the share of draws whose interval misses the mean; the share of draws that are off the real row."
    )
    sheet = Sheet("Honest draws", note, ["score", "mean", "±", "samples", "misses", "all sets", "misses", "off real"])
    for column in scores(results):
        real = of(results, REAL, column)
        drawn = {kind: of(results, kind, column) for kind in HONEST}
        every = [draw for draws in drawn.values() for draw in draws]
        row = [column, _number(_mean(d.value for d in every)), _number(_mean(d.ci95 for d in every))]
        for draws in drawn.values():
            mean = _mean(d.value for d in draws)
            row += [_number(1.96 * _sd(draws)), _share([abs(d.value - mean) > d.ci95 for d in draws], draws)]
        sheet.rows.append([*row, _share([is_off(d, real) for d in every], every)])
    return sheet


def corrupted_sheets(results: Results, width: int) -> list[Sheet]:
    """One row per corruption, one column per score, in as many tables as a line of `width` characters needs."""
    columns = scores(results)
    tables: list[list[str]] = [[]]
    for column in columns:
        if tables[-1] and NAME + sum(max(len(c), 7) + 3 for c in [*tables[-1], column]) > width:
            tables.append([])
        tables[-1].append(column)
    return [_corrupted(results, part, f"Corrupted sets, {n} of {len(tables)}") for n, part in enumerate(tables, 1)]


def _corrupted(results: Results, columns: Sequence[str], title: str) -> Sheet:
    note = (
        "Shift in standard deviations over honest samples; !: off the real row; *: the metric's caveat says something."
    )
    sheet, metrics = Sheet(title, note, ["samples", *columns]), owners()
    for cell, found in results.items():
        if cell.images not in (*HONEST, REAL):
            caveats = new_caveats(results, found)
            cells = [_shift(results, cell.images, caveats, column, metrics[column]) for column in columns]
            sheet.rows.append([cell.images, *(["refused"] * len(cells) if found.refused else cells)])
    return sheet


def _shift(results: Results, images: str, caveats: Sequence[str], column: str, metric: str) -> str:
    """The shift in standard deviations of honest draws, with "!" if the value is off the `real` row.

    Args:
        caveats: caveats of the images that honest draws do not have.
        column, metric: the score and its metric; "*" if a caveat belongs to the metric.
    """
    honest, here = of(results, SAMPLES_ANEW, column), of(results, images, column)
    if not here:
        return "none"
    shift, sd = here[0].value - _mean(d.value for d in honest), _sd(honest)
    size = shift / sd if sd else math.copysign(math.inf, shift) if shift else 0.0
    off = "!" if is_off(here[0], of(results, REAL, column)) else ""
    said = "*" if any(c.startswith(f"{metric}:") for c in caveats) else ""
    return f"{size:+.{0 if abs(size) >= 10 else 1}f}{off}{said}"


def new_caveats(results: Results, found: Found) -> list[str]:
    """The caveats that honest draws do not have, ignoring the numbers in them."""
    usual = {_pattern(c) for cell, honest in results.items() if cell.images in HONEST for c in honest.caveats}
    return [c for c in found.caveats if _pattern(c) not in usual]


def caveats_sheet(results: Results) -> Sheet:
    """One row per corruption: its caveats that honest draws do not have."""
    note = "The reason for which a set was refused, or caveats that honest draws do not have."
    sheet = Sheet("What is said of corrupted sets", note, ["samples", "caveats"], are_numbers=False)
    for cell, found in results.items():
        if cell.images not in (*HONEST, REAL):
            sheet.rows.append([cell.images, found.refused or "; ".join(new_caveats(results, found))])
    return sheet


def as_csv(results: Results) -> str:
    """One line per evaluation and score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["samples", "draw", "score", "value", "ci95", "off_real_row", "refused", "caveats"])
    for column in scores(results):
        real = of(results, REAL, column)
        for cell, found in results.items():
            value, ci95 = found.values.get(column), found.ci95.get(column)
            off = "" if value is None else is_off(Draw(value, math.nan if ci95 is None else ci95), real)
            writer.writerow(
                [cell.images, cell.number, column, value, ci95, off, found.refused, "; ".join(found.caveats)]
            )
    return text.getvalue()


def _pattern(caveat: str) -> str:
    return re.sub(r"[\d.]+", "#", caveat)


def _mean(values: Iterable[float]) -> float:
    given = [v for v in values if math.isfinite(v)]
    return float(np.mean(given)) if given else math.nan


def _sd(draws: Sequence[Draw]) -> float:
    return float(np.std([d.value for d in draws], ddof=1)) if len(draws) > 1 else math.nan


def _share(true: Sequence[bool], draws: Sequence[Draw]) -> str:
    """A share in percent; "none" for scores without an interval."""
    return f"{100 * np.mean(true):.0f}%" if any(math.isfinite(d.ci95) for d in draws) else "none"


def _number(x: float) -> str:
    return "none" if math.isnan(x) else f"{x:.4g}"
