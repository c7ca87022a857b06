"""A published number, measured again: the `paper` preset of a method beside the published accuracy and seconds.

    python experiments/reproduce.py dp-merf --device cuda
    python experiments/reproduce.py dp-merf --metric accuracy --samples 10000

The first command uses the published setting: 60,000 images and DPImageBench's three classifiers, which need a GPU. The
second one fits two CPU cores: 10,000 images and the small classifiers of `accuracy`. Finished trials are skipped, so
the same command continues after an interruption. The script prints a table and writes results/reference/reproduce.csv.
An accuracy within three points of the published one counts as reproduced. DP noise is secret, so a rerun gives slightly
different numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.benchmark.request import parse_epsilons
from dpbench.core.errors import UnknownName
from dpbench.core.files import write_atomic
from dpbench.results.metric_columns import known_metric
from experiments._candidates import Candidate, Entry, Request, Task, entries
from experiments._publications import PUBLICATIONS, Publication, compared, comparison_table
from experiments._script import exit_if_failed, one_line_errors, run_all
from experiments._verdict import finished_rows


def main(
    method: Annotated[str, typer.Argument(metavar="METHOD", help=f"one of: {', '.join(PUBLICATIONS)}")],
    eps: Annotated[str, typer.Option(metavar="LIST", help="privacy budgets ε")] = "1,10",
    seeds: Annotated[int, typer.Option(metavar="N", help="seeds per budget")] = 1,
    preset: Annotated[str, typer.Option(metavar="NAME", help="preset of the method")] = "paper",
    metric: Annotated[str, typer.Option(metavar="NAME", help="metric that measures the accuracy")] = "accuracy-paper",
    samples: Annotated[int, typer.Option(metavar="N", help="images to generate and score per trial")] = 60_000,
    public: Annotated[str, typer.Option(metavar="NAME", help="public images, for methods that use some")] = "omniglot",
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, ...")] = "auto",
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of datasets, as for dpbench run")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of trials")] = Path("results/reference-trials"),
    report: Annotated[Path, typer.Option(metavar="DIR", help="folder of the CSV file")] = Path("results/reference"),
    table_only: Annotated[bool, typer.Option("--table-only", help="run no trials; report the finished ones")] = False,
) -> None:
    """Runs a method as published, and compares its accuracy and its seconds of training with the published ones."""
    with one_line_errors():
        publication = publication_of(method)
        column = known_metric(metric).columns[0].name
        options = {"--device": device, "--metrics": metric}
        request = Request(tuple(parse_epsilons(eps)), seeds, samples, out, data, preset, options=options)
        task = Task(publication.dataset, publication.dataset, public, (Candidate(method, method),))
        competing = list(entries([task], request))
        failed = [] if table_only else run_all(competing, request, parallel=1)
        write_report(competing, publication, request, column, report)
    exit_if_failed(failed)


def publication_of(method: str) -> Publication:
    """The published results of a method.

    Raises:
        UnknownName: the method has no entry here.
    """
    if method not in PUBLICATIONS:
        raise UnknownName("method of this experiment", method, PUBLICATIONS)
    return PUBLICATIONS[method]


def write_report(competing: list[Entry], publication: Publication, request: Request, column: str, folder: Path) -> None:
    """Writes the comparison as CSV, and prints it.

    Raises:
        DpbenchError: no trial is finished, or the file cannot be written.
    """
    rows = finished_rows(competing, request)
    lines = compared(rows, publication, request.epsilons, column)
    about = {"method": competing[0].method, "dataset": competing[0].dataset, "preset": request.preset}
    written = pd.DataFrame([about | line | {"n_samples": request.samples} for line in lines])
    write_atomic(folder / "reproduce.csv", lambda path: written.to_csv(path, index=False, encoding="utf-8"))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(comparison_table(lines))
    console.print(publication.sources)


if __name__ == "__main__":
    typer.run(main)
