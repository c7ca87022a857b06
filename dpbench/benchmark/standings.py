"""The results that there are, as a table to look at or a file to work on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import RenderableType

from dpbench.benchmark.scoring import headline_columns, known_columns, owners
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.folders import state_folder
from dpbench.results import privacy_record
from dpbench.results.gathering import aggregate, collect, write_csv
from dpbench.results.table import leaderboard_table


def gather(out: Path, datasets: Sequence[str] = ()) -> pd.DataFrame:
    """One line per finished trial below `out`.

    Args:
        datasets: only these, where any are named.

    Raises:
        DpbenchError: there is no such folder.
        UnknownName: a dataset has no results.
    """
    if not out.is_dir():
        raise DpbenchError(f"there are no results in {out}; `dpbench run` writes some, --out says where they are")
    rows = collect(out, known_columns())
    for name in datasets:
        if name not in set(rows["dataset"]):
            raise UnknownName("dataset with results", name, set(rows["dataset"]))
    return rows[rows["dataset"].isin(datasets)] if datasets else rows


def export(rows: pd.DataFrame, path: Path, over_seeds: bool = False) -> None:
    """Writes a line per trial, or per configuration with mean and 95% interval over seeds, as CSV."""
    write_csv(aggregate(rows) if over_seeds else rows, path)


def standings(rows: pd.DataFrame, by: str | None = None, columns: Sequence[str] = ()) -> RenderableType:
    """The leaderboard of `rows` as a table, with this user's privacy record of their datasets.

    Args:
        by: column to rank by; it comes first.
        columns: columns to show; those that speak for a family of metrics by default.

    Raises:
        UnknownName: there is no such column.
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
    return leaderboard_table(rows, shown, records, owners())
