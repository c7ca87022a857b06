"""Test of the wavelet method's hypothesis: spend the whole privacy budget on the coarse wavelet band.

    python experiments/hypothesis.py

The hypothesis: the private information of an image is mostly in its coarse band, so a budget spent on LL tokens only
gives higher accuracy than one spent on all tokens or on all pixels. The hypothesis can fail: the argument T of
`grained:T` shifts the difference between classes from coarse structure (0) to fine texture (1).

Finished trials are skipped, so the same command continues after an interruption. The rows are written to
results/reference/hypothesis.csv and the figure to the same folder. DP noise is secret, so a rerun gives slightly
different numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.benchmark.request import parse_epsilons
from dpbench.core.files import write_atomic
from dpbench.results.leaderboard_rows import write_csv
from experiments._candidates import Candidate, Entry, Request, Task, choose, entries
from experiments._figure import draw
from experiments._script import exit_if_failed, one_line_errors, run_all
from experiments._verdict import finished_rows, summarise, verdict_table

# The sizes and batches of the wavelet method's candidates on MNIST; the current preset has smaller ones.
LARGE = {
    "codes": 512, "tokenizer_dim": 64, "tokenizer_depth": 2, "tokenizer_steps": 1000, "dim": 128, "depth": 4,
    "public_steps": 1500, "public_batch": 128, "batch": 2048, "lr": 2e-3, "refiner.width": 64, "refiner.steps": 800,
}  # fmt: skip

# The candidates of each task. Their private phases take the same time on one core of the reference machine: `steps` ×
# the seconds of one private step. Public pretraining costs no privacy and is not counted. Pretraining on all tokens has
# fewer steps, so that it takes about as long as pretraining on LL tokens.
#
#              name          method                  settings over the preset `small`     seconds of a private step
GRAINED = (
    Candidate("LL tokens", "wavelet", {"steps": 80}, 0.90),
    Candidate("all tokens", "wavelet[tokens=all]", {"steps": 45, "batch": 512, "public_steps": 400}, 1.60),
    Candidate("dp-sgd", "dp-sgd", {"steps": 97}, 0.74),
)
MNIST = (
    Candidate("LL tokens", "wavelet", {**LARGE, "steps": 100}, 3.1),
    Candidate("all tokens", "wavelet[tokens=all]", {**LARGE, "steps": 55, "batch": 1024, "public_steps": 500}, 5.6),
    Candidate("dp-sgd", "dp-sgd", {"steps": 188}, 1.65),
)
#         dataset       label        public source   candidates
TASKS = (
    Task("grained:0", "coarse", "textures:1", GRAINED),
    Task("grained:0.5", "middle", "textures:1", GRAINED),
    Task("grained:1", "fine", "textures:1", GRAINED),
    Task("mnist", "digits", "omniglot", MNIST),
)


def main(
    datasets: Annotated[str, typer.Option(metavar="LIST", help="datasets, e.g. grained:0,mnist; empty for all")] = "",
    eps: Annotated[str, typer.Option(metavar="LIST", help="privacy budgets ε")] = "1,10",
    seeds: Annotated[int, typer.Option(metavar="N", help="seeds per budget")] = 1,
    samples: Annotated[int, typer.Option(metavar="N", help="images to generate and score per trial")] = 10_000,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of datasets, as for dpbench run")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of trials")] = Path("results/hypothesis"),
    report: Annotated[Path, typer.Option(metavar="DIR", help="folder of hypothesis.csv and hypothesis.png")] = Path(
        "results/reference"
    ),
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="parallel processes, one thread each")] = 2,
    table_only: Annotated[bool, typer.Option("--table-only", help="run no trials; report the finished ones")] = False,
) -> None:
    """Runs every candidate on every dataset with every budget and prints the verdicts."""
    with one_line_errors():
        tasks = choose(TASKS, [name.strip() for name in datasets.split(",") if name.strip()])
        request = Request(tuple(parse_epsilons(eps)), seeds, samples, out, data)
        competing = list(entries(tasks, request))
        failed = [] if table_only else run_all(competing, request, jobs)
        write_report(competing, request, report)
    exit_if_failed(failed)


def write_report(competing: Sequence[Entry], request: Request, folder: Path) -> None:
    """Writes hypothesis.csv and hypothesis.png from the finished trials and prints the table.

    Raises:
        DpbenchError: no trial is finished, or the files cannot be written.
    """
    rows = finished_rows(competing, request)
    summary = summarise(rows, competing, request.epsilons)
    figure = draw(summary)
    write_csv(rows.drop(columns=["task", "candidate"]), folder / "hypothesis.csv")
    write_atomic(folder / "hypothesis.png", lambda path: figure.savefig(path, dpi=130))
    Console(width=None if sys.stdout.isatty() else 180).print(verdict_table(summary))


if __name__ == "__main__":
    typer.run(main)
