"""Which detail stage should finish coarse images? Runs each one on the same real and the same DP coarse images.

    python experiments/detail_stages.py --datasets holdout:mnist     # to choose one: no test image is opened
    python experiments/detail_stages.py                              # the final table, on test

For each dataset, the wavelet method's coarse stage is trained at every ε, and coarse images are drawn once. Every
detail stage is trained on the same public images, with the augmentation of the coarse stage, and refines the same
coarse images: real ones (decoded tokens of train images) and those of the DP coarse stages. Finished parts are skipped,
so the same command continues after an interruption; with other --metrics, it adds their scores to the finished rows.
The rows are written to results/reference/detail_stages.csv, with a sheet of images per set beside it.

A slow detail stage refines fewer images, so that it takes about `--seconds`; `n_samples` says how many. Fréchet
distances of few images are biased upwards: compare rows of equal `n_samples`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.benchmark.request import parse_epsilons
from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json, write_atomic
from dpbench.core.registries import REFINERS
from dpbench.core.variants import split_list
from dpbench.data.opening import default_root, open_dataset
from dpbench.results.run_sheet import Group, write_run_sheet
from dpbench.results.samples import StoredSamples
from experiments._coarse import sources
from experiments._jobs import Job, run_jobs
from experiments._refinement import Options, Stage, is_installed, refine_and_score, result_path
from experiments._script import exit_if_failed, one_line_errors

PROJECTED = ("regression", "residual", "pretrained")
"""Detail stages that are also run with the coarse band restored exactly."""

SHOWN = ("accuracy", "fwd", "fd_coarse", "fd_detail2", "fd_detail1", "texture", "spectrum", "lpips")
"""Metrics of the printed table."""


def main(
    datasets: Annotated[str, typer.Option(metavar="LIST", help="sensitive datasets")] = "shapes,mnist",
    refiners: Annotated[str, typer.Option(metavar="LIST", help="detail stages, with settings; empty for all")] = "",
    eps: Annotated[str, typer.Option(metavar="LIST", help="privacy budgets ε of the coarse stages")] = "1,10",
    samples: Annotated[int, typer.Option(metavar="N", help="images per set")] = 5000,
    seconds: Annotated[float, typer.Option(metavar="S", help="time for a set of a slow detail stage")] = 120.0,
    metrics: Annotated[str, typer.Option(metavar="LIST", help="metrics")] = "accuracy,fwd,scales,texture,spectrum",
    photographs: Annotated[str, typer.Option(metavar="NAME", help="public source for photographs")] = "",
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of datasets, as for dpbench run")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of trials and images")] = Path(
        "results/detail-stages"
    ),
    report: Annotated[Path, typer.Option(metavar="DIR", help="folder of the CSV file and the sheets")] = Path(
        "results/reference"
    ),
    public_benchmark: Annotated[
        bool, typer.Option("--public-benchmark", help="declare your folders of sensitive images public")
    ] = False,
    jobs: Annotated[
        int, typer.Option(metavar="N", min=0, help="parallel processes, one thread each; 0 for this one")
    ] = 2,
    table_only: Annotated[bool, typer.Option("--table-only", help="run nothing; report what is finished")] = False,
) -> None:
    """Refines and scores every set of coarse images with every detail stage, and writes table and sheets."""
    with one_line_errors():
        budgets, folder = tuple(parse_epsilons(eps)), data or default_root()
        chosen = tuple(split_list(metrics))
        options = Options(budgets, samples, seconds, chosen, folder, photographs, out, public_benchmark)
        stages = [Stage.of(name) for name in split_list(refiners) or default_stages()]
        names = split_list(datasets)
        check_public(names, options)
        if jobs == 0:
            for dataset in names:
                run_here(dataset, stages, options)
            return
        failed = [] if table_only else run_apart(names, stages, options, jobs)
        write_report(names, stages, options, report)
    exit_if_failed(failed)


def check_public(datasets: list[str], options: Options) -> None:
    """Real coarse images are shown and scored, so the sensitive images must be public (rule R9).

    Raises:
        DpbenchError: a folder of images is not declared public.
    """
    for name in datasets:
        if not open_dataset(name, options.opening).spec.public_benchmark:
            raise DpbenchError(
                f"this experiment shows real coarse images of {name}; if they are public, add --public-benchmark"
            )


def default_stages() -> list[str]:
    """Every registered detail stage whose weights are installed, some also with the coarse band restored."""
    names = [name for name in REFINERS.names() if is_installed(name)]
    return [*names, *(f"{name}[consistency=project]" for name in PROJECTED if name in names)]


def run_here(dataset: str, stages: list[Stage], options: Options) -> None:
    """Runs the detail stages on all sets of coarse images of a dataset in this process."""
    for source in sources(options.epsilons):
        for stage in stages:
            refine_and_score(dataset, source, stage, options)


def run_apart(datasets: list[str], stages: list[Stage], options: Options, parallel: int) -> list[str]:
    """Runs a process per dataset and detail stage, to measure memory separately; the first trains the coarse stages.

    Returns:
        the names of the failed jobs.
    """
    first = [Job(dataset, command(dataset, stages[0], options)) for dataset in datasets]
    rest = [Job(f"{d}, {s.name}", command(d, s, options)) for d in datasets for s in stages[1:]]
    failed = run_jobs(first, parallel, lambda line: print(line, file=sys.stderr))
    return failed or run_jobs(rest, parallel, lambda line: print(line, file=sys.stderr))


def command(dataset: str, stage: Stage, options: Options) -> list[str]:
    """This script for one dataset and detail stage, without a report."""
    arguments = {
        "--datasets": dataset, "--refiners": stage.name, "--eps": ",".join(f"{e:g}" for e in options.epsilons),
        "--samples": options.samples, "--seconds": options.seconds, "--metrics": ",".join(options.metrics),
        "--photographs": options.photographs, "--data": options.data, "--out": options.out, "--jobs": 0,
    }  # fmt: skip
    declared = ["--public-benchmark"] if options.public_benchmark else []
    return [sys.executable, __file__, *(str(part) for argument in arguments.items() for part in argument), *declared]


def write_report(datasets: list[str], stages: list[Stage], options: Options, folder: Path) -> None:
    """Writes the finished rows as CSV and a sheet per set of coarse images, and prints a table per dataset.

    Raises:
        DpbenchError: nothing is finished, or a file cannot be written.
    """
    rows = pd.DataFrame(
        [
            read_json(path)
            for dataset in datasets
            for source in sources(options.epsilons)
            for stage in stages
            if (path := result_path(dataset, source, stage, options)).exists()
        ]
    )
    if rows.empty:
        raise DpbenchError(f"nothing is finished in {options.out}; run without --table-only")
    table = rows.drop(columns=["samples", "metrics"])
    write_atomic(folder / "detail_stages.csv", lambda path: table.to_csv(path, index=False))
    console = Console(width=None if sys.stdout.isatty() else 180)
    for dataset, of_dataset in rows.groupby("dataset", sort=False):
        console.print(printed(str(dataset), of_dataset))
        spec = open_dataset(str(dataset), options.opening).spec
        name = str(dataset).replace(":", "-").replace("/", "-")
        for coarse, of_source in of_dataset.groupby("coarse", sort=False):
            groups = [
                Group(str(coarse), row["refiner"], samples, range(len(samples)))
                for row in of_source.to_dict("records")
                for samples in [StoredSamples(Path(row["samples"]), spec)]
            ]
            file = f"detail-{name}-{str(coarse).replace('ε = ', 'eps')}.png"
            write_run_sheet(folder / file, groups, f"{dataset}: the same coarse images ({coarse}), every detail stage")


def printed(dataset: str, rows: pd.DataFrame) -> Table:
    """The rows of a dataset, one block per source of coarse images."""
    shown = [name for name in SHOWN if name in rows and rows[name].notna().any()]
    head = ("coarse", "refiner", *shown, "LL error", "prepare s", "s/image", "weights", "images")
    table = Table(*head, title=f"Detail stages on {dataset}")
    for row in rows.to_dict("records"):
        numbers = [f"{row[name]:.3f}" if pd.notna(row[name]) else "" for name in shown]
        table.add_row(
            row["coarse"], escape(row["refiner"]), *numbers, f"{row['ll_error']:.4f}", f"{row['seconds_prepare']:.0f}",
            f"{row['seconds_per_image']:.4f}", f"{row['parameters']:,}", f"{row['n_samples']:,}",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    typer.run(main)
