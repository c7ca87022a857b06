"""`dpbench leaderboard`: show the results of finished trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.benchmark.request import RunRequest, split_names
from dpbench.cli.console import print_page
from dpbench.cli.options import takes
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import expanded


@takes("out")
def leaderboard(
    request: RunRequest,
    dataset: Annotated[str, typer.Option(metavar="NAMES", help="Datasets, separated by commas; all by default.")] = "",
    by: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="Column to rank by; by default the first one shown that has a direction."),
    ] = "",
    columns: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Metric columns to show; the headline metrics by default. The CSV file has all."
        ),
    ] = "",
    notes: Annotated[
        bool,
        typer.Option(
            "--notes", metavar="", help="All notes under the table in full: extractors, reasons for empty cells."
        ),
    ] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rows, unrounded, to a CSV file.")] = None,
    over_seeds: Annotated[
        bool,
        typer.Option(
            "--over-seeds",
            metavar="",
            help="In the CSV file: mean and 95% interval over seeds instead of one row per trial.",
        ),
    ] = False,
) -> None:
    """Show the results of finished trials, ranked within dataset, budget and track."""
    out = request.out
    if over_seeds and csv is None:
        raise DpbenchError("--over-seeds is about the CSV: give --csv FILE, too")
    if not out.is_dir():
        raise DpbenchError(f"there are no results in {out}; `dpbench run` writes some, --out says where they are")
    from dpbench.benchmark.scoring import known_columns, named_columns
    from dpbench.cli.pages.leaderboard_page import leaderboard_page
    from dpbench.data.opening import canonical_name
    from dpbench.results.gathering import collect, write_csv
    from dpbench.results.over_seeds import aggregate

    rows = collect(out, known_columns(), [canonical_name(name) for name in split_names(dataset)])
    if csv is not None:
        write_csv(aggregate(rows) if over_seeds else rows, expanded(csv))
    print_page(leaderboard_page(rows, by or None, named_columns(split_names(columns)), notes))
