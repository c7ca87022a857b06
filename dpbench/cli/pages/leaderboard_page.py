"""The leaderboard as a table: rounded, averaged over seeds, ranked, with the reference rows above and below."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.benchmark.scoring import headline_columns, named_columns, other_columns, owners, ranking_columns
from dpbench.cli.pages.fitted_table import FittedTable, Name
from dpbench.cli.pages.footnotes import Footnotes, full_notes, short_notes
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import state_folder
from dpbench.core.metric import Column
from dpbench.core.variants import titled
from dpbench.results import privacy_record
from dpbench.results.gathering import aggregate, trials_of
from dpbench.results.privacy_record import Record
from dpbench.results.ranking import rank, ranked_apart, read_outcomes
from dpbench.results.rounding import rounded
from dpbench.results.row import CI95

SAME_TABLE = ["dataset", "dataset_fingerprint", "resolution"]
COUNTS = ["n_samples", "n_reference"]
ORDER = {"real": 0, "nonprivate": 1, "": 2, "external": 2, "public": 3}
"""Order of rows: the upper references (real, non-private) above the private rows, the public reference below."""


def leaderboard_page(
    rows: pd.DataFrame, out: Path, by: str | None = None, columns: Sequence[Column] = (), all_notes: bool = False
) -> RenderableType:
    """The leaderboard of `rows` with this user's privacy records of their datasets.

    Args:
        rows: one line per trial; see `results.gathering.collect`.
        out: the folder of results that they are from.
        by: column to rank by, shown first; by default the first column shown that has a direction. Where that column
            says that another one ranks it, that one does.
        columns: metrics' columns to show; by default the headline columns, or others where those have no values.
        all_notes: whether the notes under the table are in full.

    Raises:
        UnknownName: there is no column `by`.
        DpbenchError: the column has no direction.
    """
    shown = list(columns or headline_columns())
    if by is not None:
        (first,) = named_columns([by])
        if first.better is None:
            raise DpbenchError(f"--by {by}: neither high nor low values of {by} are better; --columns {by} shows it")
        shown = list(dict.fromkeys([*ranking_columns([first]), first, *shown]))
    folder = state_folder() / privacy_record.FOLDER
    records = {content: privacy_record.of_fingerprint(folder, content) for content in set(rows["dataset_fingerprint"])}
    return leaderboard_table(rows, out, shown, records, owners(), [] if columns else other_columns(), all_notes)


def leaderboard_table(
    frame: pd.DataFrame,
    out: Path,
    headline: Sequence[Column],
    records: Mapping[str, Record],
    owners: Mapping[str, str],
    others: Sequence[Column] = (),
    all_notes: bool = False,
) -> RenderableType:
    """One table per dataset, resolution and number of images: scores of other numbers of images are not comparable.

    Args:
        frame: one line per trial; see `results.gathering.collect`.
        out: the folder of results.
        headline: the metrics' columns to show, in order. Those without any value in a table are left out of it, and
            the first of the others that has a direction ranks its lines, or the column that it names for this.
        records: fingerprint of train -> its privacy record.
        owners: column -> the name of its metric.
        others: the columns of a table in which no headline column has a value.
        all_notes: see `leaderboard_page`.
    """
    if frame.empty:
        return Text("no finished trials yet")
    groups = _tables(aggregate(frame).assign(trials=trials_of(frame)))
    shown = [_with_values(group, headline) or _with_values(group, others) for group in groups]
    parts = [_part(group, out, columns, owners, all_notes) for group, columns in zip(groups, shown, strict=True)]
    first, *rest = (part.notes.general for part in parts)
    shared = [note for note in first if rest and all(note in general for general in rest)]
    last = {group["dataset_fingerprint"].iloc[0]: number for number, group in enumerate(groups)}
    page: list[RenderableType] = []
    for number, (group, part) in enumerate(zip(groups, parts, strict=True)):
        dataset, fingerprint, _ = group[SAME_TABLE].iloc[0]
        own = [note for note in part.notes.general if note not in shared]
        own += [f"{mark} {note}" for mark, note in part.notes.numbered]
        page += [Text(part.heading, style="bold"), part.table, *(Text(note, style="dim") for note in own)]
        if number == last[fingerprint]:
            private = frame[(frame["dataset_fingerprint"] == fingerprint) & (frame["reference"] == "")]
            page += _record_lines(dataset, records.get(fingerprint, Record()), private)
        page += [Text()] if rest else []
    return Group(*page, *(Text(note, style="dim") for note in shared))


class _Part(NamedTuple):
    """A table, what stands above it, and the notes below it."""

    heading: str
    table: FittedTable
    notes: Footnotes


def _tables(lines: pd.DataFrame) -> list[pd.DataFrame]:
    """The lines of each table. A `real` row is in that of the rows that it is the reference of, if there are any."""
    keys = lines[SAME_TABLE + COUNTS].copy()
    for index, real in lines[lines["reference"] == "real"].iterrows():
        asked = json.loads(real["config"]).get("samples")
        others = keys[(lines["reference"] != "real") & (keys["n_samples"] == asked)]
        same = others[(others[SAME_TABLE] == real[SAME_TABLE]).all(axis=1)]
        if not same.empty:
            keys.loc[index, COUNTS] = same[COUNTS].iloc[0]
    return [group for _, group in lines.groupby([keys[name] for name in keys], dropna=False, sort=False)]


def _with_values(lines: pd.DataFrame, columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if column.name in lines and lines[column.name].notna().any()]


def _part(lines: pd.DataFrame, out: Path, shown: Sequence[Column], owners: Mapping[str, str], all_notes: bool) -> _Part:
    dataset, _, resolution = lines[SAME_TABLE].iloc[0]
    first = int((lines["reference"] == "real").to_numpy().argmin())  # of generated images, if there are any
    samples, real = lines[COUNTS].iloc[first]
    heading = f"{dataset}, {resolution}×{resolution}"
    if not pd.isna(samples):
        heading += f" · {samples:,} samples against {real:,} real images"
    lines = lines.assign(rank=float("nan"), order=lines["reference"].map(ORDER))
    by = next((column for column in ranking_columns(shown) if column.better), None)
    if by:
        heading += f" · ranked by {by.name}, within ε and track"
        lines["rank"] = rank(lines, by, owners[by.name], read_outcomes(out, lines, by))
        apart = ranked_apart(lines, owners[by.name])
        lines["notes"] = [notes + more for notes, more in zip(lines["notes"], apart, strict=True)]
    lines = lines.sort_values(["order", "epsilon", "track", "rank", "method", "variant"], kind="stable")
    notes = full_notes(lines) if all_notes else short_notes(lines, [c.name for c in shown], owners)
    marked = [_name(line, mark) for mark, (_, line) in zip(notes.marks, lines.iterrows(), strict=True)]
    general = [*notes.general, *(_about_ranks(lines, by) if by else [])]
    return _Part(heading, FittedTable(lines, shown, marked), replace(notes, general=general))


def _about_ranks(lines: pd.DataFrame, by: Column) -> Iterator[str]:
    """What equal ranks mean, if there are any, and what real images reach in the column that ranks."""
    if lines[lines["rank"].notna()].duplicated(["epsilon", "track", "rank"]).any():
        yield "rank: 1 + the number of rows that are significantly better (95%); rows of equal rank are tied"
    for _, line in lines[(lines["reference"] == "real") & lines[by.name].notna()].iterrows():
        yield f"real images reach: {by.name} {rounded(line[by.name], line[by.name + CI95])}"


def _record_lines(dataset: str, record: Record, private: pd.DataFrame) -> Iterable[RenderableType]:
    """The privacy record of a dataset, and a warning if private rows are missing from it.

    Args:
        private: the private rows on the dataset.
    """
    if record.runs:
        runs = f"{record.runs} private run{'s' if record.runs != 1 else ''}"
        unbounded = int((private["accounting"] == "unverified").sum())
        beside = f", plus {unbounded} unverified without a bound" if unbounded else ""
        yield Text(f"privacy record of {dataset}: {runs} so far, Σε = {record.epsilon:g}{beside}")
    if unknown := len({*private["key"]} - record.keys):
        rows = f"{len(private)} private row{'s' if len(private) != 1 else ''}"
        yield Text(
            f"{rows} on {dataset}, but the record on this machine lacks {unknown} of their runs: they ran "
            "elsewhere, or the record was lost",
            style="yellow",
        )


def _name(line: pd.Series[Any], note: str) -> Name:
    """A line's method and variant, marked if it is a reference, unverified, or drew reproducible noise.

    Args:
        note: the numbers of the notes on the line.
    """
    marks = [line["reference"]] if line["reference"] in ("public", "nonprivate", "external") else []
    marks += ["UNVERIFIED"] if line["accounting"] == "unverified" else []
    marks += ["reproducible noise"] if line["noise"] == "reproducible" else []
    beside = [f"({', '.join(marks)})"] if marks else []
    beside += [note] if note else []
    return Name(titled(line["method"], line["variant"]), "".join(f" {mark}" for mark in beside))
