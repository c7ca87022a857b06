"""`dpbench leaderboard`: show the results of finished trials, and write them to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.benchmark.request import RunRequest, split_names
from dpbench.cli import completion
from dpbench.cli.console import print_page
from dpbench.cli.filters import FOLDERS, KEPT, WHERE, chosen_rows
from dpbench.cli.options import takes
from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_text
from dpbench.core.folders import expanded

FILES = "Files to write"


@takes("methods", "dataset", "epsilons", "out", help=KEPT, dataset="", epsilons=())
def leaderboard(
    request: RunRequest,
    folders: FOLDERS = None,
    where: WHERE = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            autocompletion=completion.columns,
            help="Column to rank by; by default the first shown column that has a direction.",
        ),
    ] = "",
    columns: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            autocompletion=completion.columns,
            help="Metric columns to show; the headline metrics by default. The CSV file has all.",
        ),
    ] = "",
    notes: Annotated[
        bool,
        typer.Option("--notes", metavar="", help="Print all notes in full: extractors, reasons for empty cells."),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the rows, unrounded, to a CSV file.", rich_help_panel=FILES),
    ] = None,
    over_seeds: Annotated[
        bool,
        typer.Option(
            "--over-seeds",
            metavar="",
            help="In the CSV file, write the mean and 95% interval over seeds instead of one row per trial.",
            rich_help_panel=FILES,
        ),
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table as Markdown.", rich_help_panel=FILES)
    ] = None,
    latex: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the table as LaTeX (booktabs).", rich_help_panel=FILES),
    ] = None,
) -> None:
    """Show the results of finished trials, ranked within dataset, budget and track."""
    if over_seeds and csv is None:
        raise DpbenchError("--over-seeds changes the CSV file only: also give --csv FILE")
    rows = chosen_rows(folders or [request.out], request, where or ())
    from dpbench.cli.pages.leaderboard_page import chosen_tables, tables_page
    from dpbench.cli.pages.written_tables import as_latex, as_markdown
    from dpbench.results.leaderboard_rows import write_csv
    from dpbench.results.metric_columns import named_columns
    from dpbench.results.over_seeds import aggregate

    tables = chosen_tables(rows, by or None, named_columns(split_names(columns)), notes)
    if csv is not None:
        write_csv(aggregate(rows) if over_seeds else rows, expanded(csv))
    if markdown is not None:
        write_text(expanded(markdown), as_markdown(tables))
    if latex is not None:
        write_text(expanded(latex), as_latex(tables))
    print_page(tables_page(tables, rows))
