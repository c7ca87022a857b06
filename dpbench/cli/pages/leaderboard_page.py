"""The printed leaderboard: tables, their notes, and the privacy record of each dataset."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.cli.pages.fitted_table import FittedTable
from dpbench.cli.pages.ranked_tables import RankedTable, ranked_tables
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import state_folder
from dpbench.core.metric import Column
from dpbench.results import privacy_record
from dpbench.results.metric_columns import headline_columns, named_columns, other_columns, owners, ranking_columns
from dpbench.results.privacy_record import lines_about


def chosen_tables(
    rows: pd.DataFrame, by: str | None = None, columns: Sequence[Column] = (), all_notes: bool = False
) -> list[RankedTable]:
    """The leaderboard's tables, with the requested columns.

    Args:
        rows: one line per trial; see `results.leaderboard_rows.collect`.
        by: column to rank by, shown first; by default the first shown column that has a direction. If that column
            names another one for ranking, the other one ranks.
        columns: metrics' columns to show; by default the headline columns, or others if those have no values.
        all_notes: whether to give all notes under the table in full.

    Raises:
        UnknownName: there is no column `by`.
        DpbenchError: the column has no direction, or no row has a value of it.
    """
    shown = list(columns or headline_columns())
    if by is not None:
        (first,) = named_columns([by])
        if first.better is None:
            raise DpbenchError(f"--by {by}: neither high nor low values of {by} are better; --columns {by} shows it")
        (ranking,) = ranking_columns([first])
        if len(rows) and (ranking.name not in rows or rows[ranking.name].isna().all()):
            again = f"`dpbench evaluate --all --metrics {owners()[ranking.name]}` adds it, or a note says why not"
            raise DpbenchError(f"--by {by}: no row has a value of {ranking.name}; {again}")
        shown = list(dict.fromkeys([ranking, first, *shown]))
    return ranked_tables(rows, shown, [] if columns else other_columns(), all_notes)


def leaderboard_page(rows: pd.DataFrame, columns: Sequence[Column] = ()) -> RenderableType:
    """The leaderboard of `rows`; see `chosen_tables` and `tables_page`."""
    return tables_page(chosen_tables(rows, columns=columns), rows)


def tables_page(tables: Sequence[RankedTable], frame: pd.DataFrame) -> RenderableType:
    """The tables one below the other, with the privacy records of their datasets; a note common to all comes last.

    Args:
        tables: in order.
        frame: one line per trial; see `results.leaderboard_rows.collect`.
    """
    folder = state_folder() / privacy_record.FOLDER
    if not tables:
        return Text("no finished trials yet")
    first, *rest = (table.notes.general for table in tables)
    shared = [note for note in first if rest and all(note in general for general in rest)]
    last = {table.lines["dataset_fingerprint"].iloc[0]: number for number, table in enumerate(tables)}
    page: list[RenderableType] = []
    for number, table in enumerate(tables):
        dataset, fingerprint = table.lines[["dataset", "dataset_fingerprint"]].iloc[0]
        own = [note for note in table.notes.general if note not in shared]
        own += [f"{mark} {note}" for mark, note in table.notes.numbered]
        page += [Text(table.heading, style="bold"), FittedTable(table.lines, table.columns, table.names)]
        page += [Text(note, style="dim") for note in own]
        if number == last[fingerprint]:
            private = frame[(frame["dataset_fingerprint"] == fingerprint) & (frame["reference"] == "")]
            about = lines_about(dataset, privacy_record.of_fingerprint(folder, fingerprint), private)
            page += [Text(text, style="yellow" if is_warning else "") for text, is_warning in about]
        page += [Text()] if rest else []
    return Group(*page, *(Text(note, style="dim") for note in shared))
