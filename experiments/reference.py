"""The reference rows: every method on MNIST, framed by real, public and non-private rows, and the published orders.

    python experiments/reference.py --seeds 2

Finished trials are skipped, so the same command continues after an interruption. The rows of all finished trials are
written to results/reference/mnist.csv (mnist-gpu.csv with `--preset gpu`). Two tables show the accuracies of
classifiers trained on the samples, beside published ones, and which of the published orders hold: finetuning a public
model is at least as good as training from scratch, warm-up on central images at least as good as none, several noise
draws per record at least as good as one, and a larger ε at least as good as a smaller one. `_orders.py` names the
sources. DP noise is secret, so a rerun gives slightly different numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.benchmark.configure import configure
from dpbench.benchmark.request import DEFAULT_PRESET, parse_epsilons, split_names
from dpbench.core.registries import METHODS
from dpbench.core.variants import split_list
from dpbench.results.leaderboard_rows import write_csv
from experiments._candidates import Candidate, Entry, Request, Task, entries
from experiments._orders import PUBLISHED, Pair, accuracy_table, judged, order_table, orders, views_pair
from experiments._script import exit_if_failed, one_line_errors, run_framed
from experiments._verdict import finished_rows

SEVERAL_VIEWS = "dpdm"
"""The method that is also compared with one noise draw per record."""


def main(
    methods: Annotated[str, typer.Option(metavar="LIST", help="methods, as for dpbench run; empty for all")] = "",
    dataset: Annotated[str, typer.Option(metavar="NAME", help="sensitive dataset")] = "mnist",
    public: Annotated[str, typer.Option(metavar="NAME", help="public images")] = "omniglot",
    eps: Annotated[str, typer.Option(metavar="LIST", help="privacy budgets ε")] = "1,10",
    seeds: Annotated[int, typer.Option(metavar="N", help="seeds per budget")] = 1,
    references: Annotated[str, typer.Option(metavar="LIST", help="reference rows")] = "real,public,nonprivate",
    preset: Annotated[str, typer.Option(metavar="NAME", help="preset of all methods")] = DEFAULT_PRESET,
    samples: Annotated[int, typer.Option(metavar="N", help="images to generate and score per trial")] = 10_000,
    metrics: Annotated[str, typer.Option(metavar="LIST", help="metrics; empty for the default ones")] = "",
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, ...")] = "auto",
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of datasets, as for dpbench run")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of trials")] = Path("results/reference-trials"),
    report: Annotated[Path, typer.Option(metavar="DIR", help="folder of the CSV file")] = Path("results/reference"),
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="parallel processes, one thread each")] = 2,
    table_only: Annotated[bool, typer.Option("--table-only", help="run no trials; report the finished ones")] = False,
) -> None:
    """Runs every method with every budget, writes the rows, and says which published orders hold."""
    with one_line_errors():
        options = {"--device": device} | ({"--metrics": metrics} if metrics else {})
        budgets = tuple(parse_epsilons(eps))
        request = Request(budgets, seeds, samples, out, data, preset, split_names(references), options)
        views = pair_of_views(dataset, preset)
        known = [*METHODS.names(), views.better, views.other]
        named = split_list(methods) or known
        names = dict.fromkeys([*named, *known])
        task = Task(dataset, dataset, public, tuple(Candidate(name, name) for name in names))
        every = list(entries([task], request))
        competing = [e for e in every if e.candidate.name in named]
        failed = [] if table_only else run_framed(competing, request, jobs)
        write_report(every, request, views, report)
    exit_if_failed(failed)


def pair_of_views(dataset: str, preset: str) -> Pair:
    """The two variants of `SEVERAL_VIEWS` that see the same records with several noise draws and with one."""
    (configured,) = configure([SEVERAL_VIEWS], dataset, preset, {})
    return views_pair(SEVERAL_VIEWS, configured.config.views)


def write_report(every: list[Entry], request: Request, views: Pair, folder: Path) -> None:
    """Writes the rows of all finished trials as CSV, including methods not named this time, and prints both tables.

    Raises:
        DpbenchError: no trial is finished, or the file cannot be written.
    """
    rows = finished_rows(every, request)
    dataset = every[0].dataset.partition(":")[0]
    name = dataset if request.preset == DEFAULT_PRESET else f"{dataset}-{request.preset}"
    write_csv(rows.drop(columns=["task", "candidate"]), folder / f"{name}.csv")
    finished = set(rows["candidate"])
    names = [e.candidate.name for e in every if e.candidate.name in finished]
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(accuracy_table(rows, names, request.epsilons, PUBLISHED if dataset == "mnist" else {}))
    console.print(order_table(judged(rows, orders(names, request.epsilons, views))))


if __name__ == "__main__":
    typer.run(main)
