"""`dpbench report`: one page of results for the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.benchmark.request import RunRequest
from dpbench.cli.filters import FOLDERS, KEPT, WHERE, chosen_rows
from dpbench.cli.options import takes
from dpbench.core.counted import counted
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import expanded

EPILOG = """
The page is one file that needs no network. For a public benchmark, it shows images of the test split beside the samples
if the dataset's files are there (--data). It shows no real images of other datasets.

dpbench report

dpbench report results other-machine/results --out comparison.html --dataset mnist
"""


@takes(
    *("methods", "dataset", "epsilons", "data"),
    help=KEPT | {"data": "Folder of datasets, for real images; by default $DPBENCH_DATA or your cache folder."},
    dataset="",
    epsilons=(),
)
def report(
    request: RunRequest,
    folders: FOLDERS = None,
    where: WHERE = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Page to write.")] = Path("report.html"),
) -> None:
    """Write one self-contained page: leaderboard, curves, samples, budgets, differences, commands."""
    from dpbench.benchmark.reporting.report_content import report_content
    from dpbench.results.report.page_file import write_page

    rows = chosen_rows(folders or [request.out], request, where or ())
    if rows.empty:
        raise DpbenchError("there are no finished trials to report; `dpbench run` makes some")
    path = expanded(out)
    write_page(path, report_content(rows, request.data))
    print(f"{counted(len(rows), 'trial')}: {path}")
