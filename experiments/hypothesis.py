"""Does it pay to spend the whole privacy budget on the coarse wavelet band? The comparison, its table and figure.

    python experiments/hypothesis.py

The wavelet method's hypothesis: what is private about an image lies mostly in its coarse band, so a budget spent on LL
tokens alone goes further than one spread over all tokens, or over all pixels. It can fail: the dial of `shapes:DIAL`
moves what tells the classes apart from coarse structure (0) to fine texture (1).

A finished trial is skipped: after an interruption run the same command again. Rows go to results/reference/
hypothesis.csv, the figure beside them; DP noise is secret, so a rerun gives other numbers, close to these.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that it runs as a script, wherever from

from dpbench.benchmark.request import parse_epsilons
from dpbench.benchmark.scoring import known_columns
from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_atomic
from dpbench.results.gathering import collect, write_csv
from experiments._contest import Arena, Contender, Entry, Request, choose, command, entries
from experiments._figure import draw
from experiments._jobs import Job, run_jobs
from experiments._verdict import select, summarise, verdict_table

# Who competes, and on what. Equal compute means: the private phases take equally many seconds, `steps` × the seconds of
# one private step, on one core of the reference machine. Public pretraining costs no privacy and does not count; that
# of all tokens is shorter, so that it takes about as long as that of the LL tokens.
#
#              name          method                  settings over the preset `small`     seconds of a private step
SHAPES = (
    Contender("LL tokens", "wavelet", {"steps": 80}, 0.90),
    Contender("all tokens", "wavelet[tokens=all]", {"steps": 45, "batch": 512, "public_steps": 400}, 1.60),
    Contender("dp-sgd", "dp-sgd", {"steps": 97}, 0.74),
)
MNIST = (
    Contender("LL tokens", "wavelet", {"steps": 100}, 3.1),
    Contender("all tokens", "wavelet[tokens=all]", {"steps": 55, "batch": 1024, "public_steps": 500}, 5.6),
    Contender("dp-sgd", "dp-sgd", {"steps": 188}, 1.65),
)
#         dataset       what it is   public source   contenders
ARENAS = (
    Arena("shapes:0", "coarse", "textures:1", SHAPES),
    Arena("shapes:0.5", "middle", "textures:1", SHAPES),
    Arena("shapes:1", "fine", "textures:1", SHAPES),
    Arena("mnist", "digits", "omniglot", MNIST),
)


def main(
    datasets: Annotated[str, typer.Option(metavar="LIST", help="only these, e.g. shapes:0,mnist")] = "",
    eps: Annotated[str, typer.Option(metavar="LIST", help="privacy budgets ε")] = "1,10",
    seeds: Annotated[int, typer.Option(metavar="N", help="seeds per budget")] = 1,
    samples: Annotated[int, typer.Option(metavar="N", help="images to generate and score per trial")] = 10_000,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of datasets, as for dpbench run")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of trials")] = Path("results/hypothesis"),
    report: Annotated[Path, typer.Option(metavar="DIR", help="where hypothesis.csv and hypothesis.png go")] = Path(
        "results/reference"
    ),
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="processes side by side, one thread each")] = 2,
    table_only: Annotated[bool, typer.Option("--table-only", help="run nothing: use what is finished")] = False,
) -> None:
    """Runs every contender on every dataset under every budget, and prints who wins."""
    try:
        arenas = choose(ARENAS, [name.strip() for name in datasets.split(",") if name.strip()])
        request = Request(tuple(parse_epsilons(eps)), seeds, samples, out, data)
        competing = list(entries(arenas, request))
        failed = [] if table_only else run_all(competing, request, jobs)
        write_report(competing, request, report)
    except DpbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    if failed:
        print(f"error: failed: {', '.join(failed)}; the same command goes on after what is finished", file=sys.stderr)
        raise typer.Exit(1)


def run_all(competing: Sequence[Entry], request: Request, parallel: int) -> list[str]:
    """Finishes all trials; gives back the names of what failed."""
    jobs = [Job(f"{e.arena.dataset}, {e.contender.name}", command(e.arena, e.contender, request)) for e in competing]
    return run_jobs(jobs, parallel, lambda line: print(line, file=sys.stderr))


def write_report(competing: Sequence[Entry], request: Request, folder: Path) -> None:
    """Writes hypothesis.csv and hypothesis.png from what is finished, and prints the table.

    Raises:
        DpbenchError: nothing is finished, or the files cannot be written.
    """
    rows = select(collect(request.out, known_columns()), competing, request)
    if rows.empty:
        raise DpbenchError(f"no finished trials of this experiment in {request.out}; run it without --table-only")
    summary = summarise(rows, competing, request.epsilons)
    figure = draw(summary)
    write_csv(rows.drop(columns=["arena", "contender"]), folder / "hypothesis.csv")
    write_atomic(folder / "hypothesis.png", lambda path: figure.savefig(path, dpi=130))
    Console(width=None if sys.stdout.isatty() else 180).print(verdict_table(summary))


if __name__ == "__main__":
    typer.run(main)
