"""What stands under a table of the leaderboard: intervals, empty cells, caveats. In short, or in full.

A note on the whole table stands alone. A note on some lines has a number, which these lines carry: "dp-merf ¹".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

MOST = 5
"""Columns that the short form names of those that are empty for one reason."""

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
        lines: of a table; see `results.over_seeds.aggregate`.
    """
    found: dict[str, list[int]] = {}
    for number, (_, line) in enumerate(lines.iterrows()):
        used = [f"extractors: {line['extractor']}"] if line["extractor"] else []
        for note in (*used, *line["notes"]):
            found.setdefault(note, []).append(number)
    return _placed([_intervals(lines)], found, lines)


def short_notes(lines: pd.DataFrame, columns: Sequence[str], owners: Mapping[str, str]) -> Footnotes:
    """The columns that lack weights, and what else is to be known of the columns asked for.

    Args:
        lines: as for `full_notes`.
        columns: the columns asked for; notes on other columns alone are left out.
        owners: column -> the name of its metric, for all columns. What the notes say of several columns or metrics with
            the same text becomes one note; so do texts that differ in their first number.
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
    """Texts that are equal but for their first number, the columns or metrics that they are about, and their lines."""

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
    """(column, text) of each column asked for that is empty without a reason."""
    explained = {head for heads, _ in notes for head in heads}
    for column in columns:
        if pd.isna(line[column]) and not explained & {column, owners[column]}:
            yield [column], f"not computed; `dpbench evaluate --all --metrics {owners[column]}` does it"


def _placed(general: list[str], found: Mapping[str, Iterable[int]], lines: pd.DataFrame) -> Footnotes:
    """The notes with numbers, where they need any.

    A note on all lines, or on all but that of real images, stands alone; notes on the same lines share a number.

    Args:
        general: notes without lines.
        found: note -> the lines that it is about, by position.
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
    """ "fid, kid: weights ..." -> (["fid", "kid"], "weights ..."); what is before a colon counts if it is all names."""
    before, _, text = note.partition(": ")
    heads = before.split(", ")
    return (heads, text) if text and set(heads) <= set(names) else ([], note)


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:MOST]) + (", …" if len(unique) > MOST else "")
