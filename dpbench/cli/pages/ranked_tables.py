"""The leaderboard's tables, ready to print or write: lines averaged over seeds, ranked and named, with notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pandas as pd

from dpbench.cli.pages.fitted_table import Name
from dpbench.cli.pages.footnotes import Footnotes, full_notes, short_notes
from dpbench.core.metric import Column
from dpbench.core.variants import titled
from dpbench.results.comparable import ORDER, heading_of, marks_of, tables_of
from dpbench.results.metric_columns import owners, ranking_columns
from dpbench.results.ranking import rank, ranked_apart, read_outcomes
from dpbench.results.rounding import rounded
from dpbench.results.row import CI95


@dataclass(frozen=True)
class RankedTable:
    """One table.

    Attributes:
        heading: the dataset, the numbers of images, and the column that ranks.
        lines: the lines in order, with `rank`; see `results.over_seeds.aggregate`.
        columns: the metrics' columns to show.
        names: one per line.
        notes: the notes below the table.
    """

    heading: str
    lines: pd.DataFrame
    columns: Sequence[Column]
    names: Sequence[Name]
    notes: Footnotes


def ranked_tables(
    frame: pd.DataFrame, headline: Sequence[Column], others: Sequence[Column] = (), all_notes: bool = False
) -> list[RankedTable]:
    """One table per dataset, resolution and number of images: scores of different numbers of images are not comparable.

    Args:
        frame: one line per trial; see `results.leaderboard_rows.collect`.
        headline: the metrics' columns to show, in order. A table leaves out those without a value in any trial. The
            first column that has a direction ranks the lines, or the column that it names for ranking; one without a
            value in any line is passed over.
        others: the columns to show in a table in which no headline column has a value.
        all_notes: whether to give all notes in full.
    """
    groups = tables_of(frame)
    trials = [frame[frame["folder"].isin(list(chain.from_iterable(group["trials"])))] for group in groups]
    shown = [_with_values(rows, headline) or _with_values(rows, others) for rows in trials]
    known = owners()
    return [_ranked(group, frame, columns, known, all_notes) for group, columns in zip(groups, shown, strict=True)]


def _with_values(lines: pd.DataFrame, columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if column.name in lines and lines[column.name].notna().any()]


def _ranked(
    lines: pd.DataFrame, frame: pd.DataFrame, shown: Sequence[Column], metrics: Mapping[str, str], all_notes: bool
) -> RankedTable:
    heading = heading_of(lines)
    lines = lines.assign(rank=float("nan"), order=lines["reference"].map(ORDER))
    by = next((column for column in _with_values(lines, ranking_columns(shown)) if column.better), None)
    if by:
        heading += f" · ranked by {by.name}, within ε and track"
        lines["rank"] = rank(lines, by, metrics[by.name], read_outcomes(frame, lines, by))
        apart = ranked_apart(lines, metrics[by.name])
        lines["notes"] = [notes + more for notes, more in zip(lines["notes"], apart, strict=True)]
    lines = lines.sort_values(["order", "epsilon", "track", "rank", "method", "variant"], kind="stable")
    notes = full_notes(lines) if all_notes else short_notes(lines, [c.name for c in shown], metrics)
    names = [_name(line, mark) for mark, (_, line) in zip(notes.marks, lines.iterrows(), strict=True)]
    general = [*notes.general, *(_about_ranks(lines, by) if by else [])]
    return RankedTable(heading, lines, shown, names, replace(notes, general=general))


def _about_ranks(lines: pd.DataFrame, by: Column) -> Iterator[str]:
    """The meaning of equal ranks, if there are any, and the value of real images in the column that ranks."""
    if lines[lines["rank"].notna()].duplicated(["epsilon", "track", "rank"]).any():
        yield "rank: 1 + the number of rows that are significantly better (95%); rows of equal rank are tied"
    for _, line in lines[(lines["reference"] == "real") & lines[by.name].notna()].iterrows():
        yield f"real images reach: {by.name} {rounded(line[by.name], line[by.name + CI95])}"


def _name(line: pd.Series[Any], note: str) -> Name:
    """A line's method and variant, marked if it is a reference, unverified, or drew reproducible noise.

    Args:
        note: the numbers of the notes on the line.
    """
    marks = marks_of(line)
    beside = [f"({', '.join(marks)})"] if marks else []
    beside += [note] if note else []
    return Name(titled(str(line["method"]), str(line["variant"])), "".join(f" {mark}" for mark in beside))
