"""The leaderboard as a table: rounded, averaged over seeds, ranked, with the reference rows above and below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from dpbench.benchmark.scoring import headline_columns, known_columns, owners
from dpbench.cli.pages.footnotes import full_notes, short_notes
from dpbench.core.errors import UnknownName
from dpbench.core.folders import state_folder
from dpbench.core.metric import Column
from dpbench.core.variants import titled
from dpbench.results import privacy_record
from dpbench.results.gathering import aggregate, rank
from dpbench.results.privacy_record import Record
from dpbench.results.rounding import rounded
from dpbench.results.row import CI95

SAME_TABLE = ["dataset", "dataset_fingerprint", "resolution"]
ORDER = {"real": 0, "nonprivate": 1, "": 2, "external": 2, "public": 3}
"""Order of rows: the upper references (real, non-private) above the private rows, the public reference below."""


def leaderboard_page(
    rows: pd.DataFrame, by: str | None = None, columns: Sequence[str] = (), all_notes: bool = False
) -> RenderableType:
    """The leaderboard of `rows` with this user's privacy records of their datasets.

    Args:
        rows: one line per trial; see `results.gathering.collect`.
        by: column to rank by, shown first; by default the first column shown.
        columns: metrics' columns to show; by default the headline column of each metric that has one.
        all_notes: whether the notes under the table are in full.

    Raises:
        UnknownName: a column does not exist.
    """
    known = {column.name: column for column in known_columns()}
    for name in [*columns, *([by] if by else [])]:
        if name not in known:
            raise UnknownName("metric's column", name, known)
    shown = [known[name] for name in columns] or headline_columns()
    if by is not None:
        shown = [known[by], *(column for column in shown if column.name != by)]
    folder = state_folder() / privacy_record.FOLDER
    records = {content: privacy_record.of_fingerprint(folder, content) for content in set(rows["dataset_fingerprint"])}
    return leaderboard_table(rows, shown, records, owners(), all_notes)


def leaderboard_table(
    frame: pd.DataFrame,
    headline: Sequence[Column],
    records: Mapping[str, Record],
    owners: Mapping[str, str],
    all_notes: bool = False,
) -> RenderableType:
    """One table per dataset and resolution.

    Args:
        frame: one line per trial; see `results.gathering.collect`.
        headline: the metrics' columns to show, in order; the first that has values ranks the lines, and columns
            without any value are left out.
        records: fingerprint of train -> its privacy record.
        owners: column -> the name of its metric.
        all_notes: see `leaderboard_page`.
    """
    if frame.empty:
        return Text("no finished trials yet")
    lines = aggregate(frame)
    shown = [c for c in headline if c.name in lines and lines[c.name].notna().any()]
    ranked = shown[0] if shown else None
    lines["rank"] = rank(lines, ranked, owners[ranked.name]) if ranked else pd.NA
    parts: list[RenderableType] = []
    for _, group in lines.groupby(SAME_TABLE, dropna=False, sort=False):
        dataset, fingerprint, resolution = group[SAME_TABLE].iloc[0]
        ranking = f" · ranked by {ranked.name}, within ε and track" if ranked else ""
        parts.append(Text(f"{dataset}, {resolution}×{resolution}{ranking}", style="bold"))
        parts.append(_Fitted(group, [c for c in shown if group[c.name].notna().any()]))
        labels = [_label(line) for _, line in group.iterrows()]
        names = {*owners, *owners.values()}
        notes = full_notes(group, labels) if all_notes else short_notes(group, labels, names)
        parts.append(Text("\n".join(notes), style="dim"))
        private = frame[(frame["dataset_fingerprint"] == fingerprint) & (frame["reference"] == "")]
        parts += _record_lines(dataset, records.get(fingerprint, Record()), private)
    return Group(*parts)


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


class _Fitted:
    """A table with as many columns as fit the console, and the names of the columns left out."""

    def __init__(self, group: pd.DataFrame, shown: Sequence[Column]):
        self.group, self.shown = group, shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = len(self.shown)
        while kept > 1 and _width(_table(self.group, self.shown[:kept]), console) > options.max_width:
            kept -= 1
        table = _table(self.group, self.shown[:kept])
        table.columns[0].no_wrap = _width(table, console) <= options.max_width  # a long variant wraps, numbers do not
        yield table
        if left_out := [column.name for column in self.shown[kept:]]:
            yield Text(
                f"not shown for lack of width: {', '.join(left_out)}; see `dpbench leaderboard --columns NAMES`",
                style="dim",
            )


def _width(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update(width=10_000)).maximum


def _table(group: pd.DataFrame, shown: Sequence[Column]) -> Table:
    table = Table()
    seeds = bool((group["seeds"] > 1).any())
    table.add_column("method", no_wrap=True, overflow="fold")
    for heading in ["ε", "track", "rank", *(["seeds"] if seeds else [])]:
        table.add_column(heading, justify="left" if heading == "track" else "right", no_wrap=True)
    for column in shown:
        table.add_column(f"{column.name} {'↑' if column.better == 'high' else '↓'}", justify="right", no_wrap=True)
    order = group["reference"].map(ORDER)
    group = group.assign(order=order).sort_values(["order", "epsilon", "rank", "method", "variant"], na_position="last")
    sections = (group["reference"] + group["epsilon"].map(str)).tolist()
    for number, (_, line) in enumerate(group.iterrows()):
        end = number + 1 < len(sections) and sections[number] != sections[number + 1]
        best = line["rank"] is not pd.NA and line["rank"] == 1
        table.add_row(*_cells(line, shown, seeds), end_section=end, style="bold" if best else "")
    return table


def _cells(line: pd.Series[Any], shown: Sequence[Column], seeds: bool) -> Iterable[RenderableType]:
    yield Text(_label(line))  # not a str: the brackets of a variant are not markup
    yield "" if math.isnan(line["epsilon"]) else f"{line['epsilon']:g}".replace("inf", "∞")
    yield line["track"]
    yield "" if pd.isna(line["rank"]) else str(line["rank"])
    if seeds:
        yield str(line["seeds"])
    for column in shown:
        yield rounded(line[column.name], line[column.name + CI95])


def _label(line: pd.Series[Any]) -> str:
    """A line's method and variant, marked if it is a reference, unverified, or drew reproducible noise."""
    marks = [line["reference"]] if line["reference"] in ("public", "nonprivate", "external") else []
    marks += ["UNVERIFIED"] if line["accounting"] == "unverified" else []
    marks += ["reproducible noise"] if line["noise"] == "reproducible" else []
    title = titled(line["method"], line["variant"])
    return f"{title} ({', '.join(marks)})" if marks else title
