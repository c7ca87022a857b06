"""The results of `gpu.py` as terminal tables, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dpbench.core.files import write_json, write_text
from perf._gpu_checks import Cell, Value


@dataclass
class Result:
    """The result of a section.

    Attributes:
        name: name of the section.
        title: description of its numbers.
        seconds: run time.
        cells: measured cells, in order.
    """

    name: str
    title: str
    seconds: float = 0.0
    cells: list[Cell] = field(default_factory=list)

    @property
    def failures(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.value.passed is False]

    @property
    def passed(self) -> bool | None:
        """Whether all checks passed; None if there is no verdict."""
        verdicts = [cell.value.passed for cell in self.cells if cell.value.passed is not None]
        return all(verdicts) if verdicts else None

    @property
    def verdict(self) -> str:
        return f"{verdict(self.cells)}; {self.seconds:.0f} s"

    def grid(self) -> tuple[list[str], list[tuple[str, list[Value | None]]]]:
        """(columns, rows with a value or None for each)."""
        columns = list(dict.fromkeys(cell.column for cell in self.cells))
        rows: dict[str, dict[str, Value]] = {}
        for cell in self.cells:
            rows.setdefault(cell.row, {})[cell.column] = cell.value
        return columns, [(row, [values.get(c) for c in columns]) for row, values in rows.items()]

    def reasons(self) -> list[str]:
        """Reasons for failed or missing numbers, each once with its first location."""
        first: dict[str, list[Cell]] = {}
        for cell in [*self.failures, *absent(self.cells)]:
            if cell.value.why:
                first.setdefault(cell.value.why, []).append(cell)
        return [
            f"{cells[0].row}, {cells[0].column}{f' and {len(cells) - 1} more' if len(cells) > 1 else ''}: {why}"
            for why, cells in first.items()
        ]


def absent(cells: Sequence[Cell]) -> list[Cell]:
    """Cells without number and verdict: refused, out of memory, not installed or out of time."""
    return [cell for cell in cells if (cell.value.number, cell.value.passed) == (None, None)]


def verdict(cells: Sequence[Cell]) -> str:
    verdicts = [cell.value.passed for cell in cells if cell.value.passed is not None]
    missing = f", {len(absent(cells))} without a number" if absent(cells) else ""
    return f"{sum(verdicts)} of {len(verdicts)} checks passed{missing}"


def shown(value: Value | None) -> str:
    """A value as short text; failures are marked."""
    if value is None:
        return ""
    text = "" if value.number is None else number(value.number)
    if value.passed is False:
        return f"FAIL {text}".strip()
    return text or ("ok" if value.passed else "—")


def number(x: float) -> str:
    """The number with four digits, or with six decimals close to 1, e.g. 1.000450 for an exceeded clip."""
    return f"{x:.6f}" if 0.99 < abs(x) < 1.01 else f"{x:.4g}"


def to_table(result: Result) -> Table:
    columns, rows = result.grid()
    table = Table("", *columns, title=f"{result.title}\n{result.verdict}", title_justify="left")
    for row, values in rows:
        cells = [Text(shown(v), "bold red" if v and v.passed is False else "") for v in values]
        table.add_row(row, *cells)
    return table


def show(result: Result, console: Console) -> None:
    console.print(to_table(result))
    for reason in result.reasons():
        console.print(f"  {reason}", markup=False, highlight=False)


def to_markdown(about: Mapping[str, Any], results: Sequence[Result]) -> str:
    lines = ["# dpbench on a GPU", "", "`python perf/gpu.py`: " + ", ".join(f"{k} {v}" for k, v in about.items()), ""]
    for result in results:
        columns, rows = result.grid()
        lines += [f"## {result.name}", "", f"{result.title}. {result.verdict}.", ""]
        lines += [_line(["", *columns]), _line(["---"] * (len(columns) + 1))]
        lines += [_line([row, *map(shown, values)]) for row, values in rows]
        lines += ["", *(f"- {reason}" for reason in result.reasons()), ""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def write(file: Path, about: Mapping[str, Any], results: Sequence[Result]) -> None:
    """Writes all results so far as JSON, atomically."""
    sections = [
        {
            "name": r.name,
            "title": r.title,
            "seconds": round(r.seconds, 1),
            "passed": r.passed,
            "cells": [{"row": c.row, "column": c.column, **asdict(c.value)} for c in r.cells],
        }
        for r in results
    ]
    write_json(file, {**about, "passed": all(s["passed"] for s in sections), "sections": sections})


def write_markdown(file: Path, about: Mapping[str, Any], results: Sequence[Result]) -> None:
    write_text(file, to_markdown(about, results))
