"""What stands under a table of the leaderboard: sample counts, empty cells, caveats. In short, or in full."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import pandas as pd

MOST = 5
"""Columns that the short form names of those that are empty for one reason."""

NO_WEIGHTS = re.compile(r"weights '(.+)' are not installed")


def full_notes(group: pd.DataFrame, labels: Sequence[str]) -> Iterator[str]:
    """Sample counts, extractors and notes of all lines: each text once, after the lines that it applies to.

    Args:
        group: the lines of a table; see `results.gathering.aggregate`.
        labels: what each line is called.
    """
    yield _intervals(group)
    about: dict[str, list[str]] = {}
    for label, (_, line) in zip(labels, group.iterrows(), strict=True):
        if not pd.isna(line["n_samples"]):
            features = f" ({line['extractor']})" if line["extractor"] else ""
            about.setdefault(f"{_counts(line)}{features}", []).append(label)
        for note in _notes(line):
            about.setdefault(note, []).append(label)
    notes: dict[str, list[str]] = {}
    for note, applies in about.items():
        notes.setdefault(_joined(applies), []).append(note)
    yield from (f"{lines}: {'; '.join(texts)}" for lines, texts in notes.items())


def short_notes(group: pd.DataFrame, labels: Sequence[str], names: Collection[str]) -> Iterator[str]:
    """Few lines: sample counts, the columns that lack weights, and every other text once.

    A text stands after the lines that it applies to, unless it applies to all lines, or all but that of real images.

    Args:
        group, labels: as for `full_notes`.
        names: of all metrics and their columns. What the notes say of several with the same text becomes one note.
    """
    yield f"{_intervals(group)}; more: `dpbench leaderboard --notes`"
    generated = {label for label, real in zip(labels, group["reference"] == "real", strict=True) if not real}
    counts: dict[str, list[str]] = {}
    empty: dict[str, list[str]] = {}
    about: dict[str, dict[str, list[str]]] = {}
    for label, (_, line) in zip(labels, group.iterrows(), strict=True):
        if not pd.isna(line["n_samples"]):
            counts.setdefault(_counts(line), []).append(label)
        for note in _notes(line):
            heads, text = _parted(note, names)
            if missing := NO_WEIGHTS.match(text):
                empty.setdefault(missing[1], []).extend(heads)
            else:
                about.setdefault(text, {}).setdefault(label, []).extend(heads)
    if counts:
        yield "; ".join(f"{_applies(to, generated)}{text}" for text, to in counts.items())
    if empty:
        weights = f"get {next(iter(empty))}" if len(empty) == 1 else "list"
        yield f"no weights: {_listed(chain(*empty.values()))} (`dpbench weights {weights}`)"
    for text, lines in about.items():
        named = _listed(chain(*lines.values()))
        yield _applies(list(lines), generated) + (f"{named}: {text}" if named else text)


def _intervals(group: pd.DataFrame) -> str:
    over_seeds = "seeds (Student's t), of single rows over " if (group["seeds"] > 1).any() else ""
    return f"±: 95% interval over {over_seeds}images (bootstrap)"


def _counts(line: pd.Series[Any]) -> str:
    return f"{line['n_samples']} samples against {line['n_reference']} real images"


def _notes(line: pd.Series[Any]) -> Iterable[str]:
    return filter(None, line["notes"].split("; "))


def _parted(note: str, names: Collection[str]) -> tuple[list[str], str]:
    """ "fid, kid: weights ..." -> (["fid", "kid"], "weights ..."); what is before a colon counts if it is all names."""
    before, _, text = note.partition(": ")
    heads = before.split(", ")
    return (heads, text) if text and all(head in names for head in heads) else ([], note)


def _applies(labels: list[str], generated: set[str]) -> str:
    return "" if generated and generated <= set(labels) else f"{_joined(labels)}: "


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:MOST]) + (", …" if len(unique) > MOST else "")


def _joined(labels: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(labels))
