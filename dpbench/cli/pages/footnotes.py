"""The notes under a leaderboard table, short or in full: intervals, empty cells, caveats.

A note on the whole table has no number. A note on some lines has a number, which these lines carry: "dp-merf ¹".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

MOST = 5
"""Most columns that a short note lists by name."""

NO_WEIGHTS = re.compile(r"weights '(.+)' are not installed")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Footnotes:
    """The notes under a table.

    Attributes:
        general: notes on the whole table.
        numbered: (number, note) of notes on some lines.
        marks: the numbers that each line carries, "¹,³", or "".
    """

    general: Sequence[str]
    numbered: Sequence[tuple[str, str]]
    marks: Sequence[str]


def full_notes(lines: pd.DataFrame) -> Footnotes:
    """Extractors and notes of all lines, each text once.

    Args:
        lines: the lines of a table; see `results.over_seeds.aggregate`.
    """
    found: dict[str, list[int]] = {}
    for number, (_, line) in enumerate(lines.iterrows()):
        used = [f"extractors: {line['extractor']}"] if line["extractor"] else []
        for note in (*used, *line["notes"]):
            found.setdefault(note, []).append(number)
    return _placed([_intervals(lines)], found, lines)


def short_notes(lines: pd.DataFrame, columns: Sequence[str], owners: Mapping[str, str]) -> Footnotes:
    """The columns that lack weights, and the other notes on the requested columns.

    Args:
        lines: as for `full_notes`.
        columns: the requested columns; notes on only other columns are left out.
        owners: column -> the name of its metric, for all columns. Notes with the same text on several columns or
            metrics are merged into one; so are texts that differ in their first number only.
    """
    asked = {*columns, *(owners[column] for column in columns)}
    empty: dict[str, list[str]] = {}
    remarks: dict[tuple[str, ...], _Remark] = {}
    for number, (_, line) in enumerate(lines.iterrows()):
        parted = [_parted(note, {*owners, *owners.values()}) for note in line["notes"]]
        for heads, text in [*parted, *_not_computed(line, columns, owners, parted)]:
            if missing := NO_WEIGHTS.match(text):
                empty.setdefault(missing[1], []).extend(heads)
            elif not heads or asked.intersection(heads):
                alike = tuple(NUMBER.split(text, maxsplit=1))
                remarks.setdefault(alike, _Remark()).add(number, heads, text)
    general = [f"{_intervals(lines)}; more: `dpbench leaderboard --notes`"]
    if empty:
        weights = f"get {next(iter(empty))}" if len(empty) == 1 else "list"
        columns_without = _listed(column for group in empty.values() for column in group)
        general.append(f"no weights: {columns_without} (`dpbench weights {weights}`)")
    found: dict[str, list[int]] = {}
    for remark in remarks.values():
        found.setdefault(str(remark), []).extend(remark.lines)
    return _placed(general, found, lines)


@dataclass(frozen=True)
class _Remark:
    """Texts that differ in their first number only, with their columns or metrics, and their lines."""

    lines: list[int] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def add(self, line: int, heads: Iterable[str], text: str) -> None:
        self.lines.append(line)
        self.heads.extend(heads)
        self.texts.append(text)

    def __str__(self) -> str:
        text = self.texts[0]
        numbers = sorted({match[0] for t in self.texts if (match := NUMBER.search(t))}, key=float)
        if len(numbers) > 1:
            text = NUMBER.sub(f"{numbers[0]}–{numbers[-1]}", text, count=1)
        return f"{_listed(self.heads)}: {text}" if self.heads else text


def _not_computed(
    line: pd.Series[Any],
    columns: Sequence[str],
    owners: Mapping[str, str],
    notes: Iterable[tuple[Sequence[str], str]],
) -> Iterator[tuple[list[str], str]]:
    """(column, text) of each requested column that is empty without a stored reason."""
    explained = {head for heads, _ in notes for head in heads}
    for column in columns:
        if pd.isna(line[column]) and not explained & {column, owners[column]}:
            yield [column], f"not computed; `dpbench evaluate --all --metrics {owners[column]}` does it"


def _placed(general: list[str], found: Mapping[str, Iterable[int]], lines: pd.DataFrame) -> Footnotes:
    """The notes, numbered where they need a number.

    A note on all lines, or on all lines except real images, has no number; notes on the same lines share one.

    Args:
        general: notes on the whole table.
        found: note -> the positions of its lines.
    """
    generated = {number for number, name in enumerate(lines["reference"]) if name != "real"} or {0}
    groups: dict[tuple[int, ...], list[str]] = {}
    for text, about in found.items():
        if generated <= set(about):
            general.append(text)
        else:
            groups.setdefault(tuple(sorted(set(about))), []).append(text)
    marks: list[list[str]] = [[] for _ in range(len(lines))]
    numbered = []
    for number, about in enumerate(sorted(groups), start=1):
        mark = str(number).translate(SUPERSCRIPT)
        numbered += [(mark, text) for text in groups[about]]
        for line in about:
            marks[line].append(mark)
    return Footnotes(general, numbered, [",".join(own) for own in marks])


def _intervals(lines: pd.DataFrame) -> str:
    over_seeds = "seeds (Student's t), of single rows over " if (lines["seeds"] > 1).any() else ""
    return f"±: 95% interval over {over_seeds}images"


def _parted(note: str, names: Iterable[str]) -> tuple[list[str], str]:
    """ "fid, kid: weights ..." -> (["fid", "kid"], "weights ..."), if all parts before the colon are names."""
    before, _, text = note.partition(": ")
    heads = before.split(", ")
    return (heads, text) if text and set(heads) <= set(names) else ([], note)


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:MOST]) + (", …" if len(unique) > MOST else "")
