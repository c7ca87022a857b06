"""Accuracy against private compute: one method with 1/8 to 2 times the private steps of its preset.

    python experiments/compute_curve.py --method dp-sgd

Only the number of steps changes. Batch, learning rate and everything else come from the preset, and the noise is
calibrated for the steps. Finished trials are skipped, so the same command continues after an interruption. The script
writes results/reference/curve-<method>-<dataset>.csv and a figure beside it.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.benchmark.request import DEFAULT_PRESET, parse_epsilons
from dpbench.core.data import DataOptions
from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_atomic
from dpbench.data.opening import default_root, open_dataset
from dpbench.results.trial_folder import safe_name
from experiments._candidates import Entry, Request, Task, entries
from experiments._curve import Point, curve, draw_curve, make_points
from experiments._script import exit_if_failed, one_line_errors, run_all
from experiments._verdict import finished_rows


def main(
    method: Annotated[str, typer.Option(metavar="NAME", help="a method that trains by DP-SGD")],
    factors: Annotated[
        str, typer.Option(metavar="LIST", help="multiples of the preset's private steps")
    ] = "1/8,1/4,1/2,1,2",
    dataset: Annotated[str, typer.Option(metavar="NAME", help="sensitive dataset")] = "mnist",
    public: Annotated[str, typer.Option(metavar="NAME", help="public images")] = "omniglot",
    eps: Annotated[str, typer.Option(metavar="LIST", help="privacy budgets ε")] = "10",
    seeds: Annotated[int, typer.Option(metavar="N", help="seeds per budget")] = 1,
    preset: Annotated[str, typer.Option(metavar="NAME", help="preset to start from")] = DEFAULT_PRESET,
    samples: Annotated[int, typer.Option(metavar="N", help="images to generate and score per trial")] = 10_000,
    metrics: Annotated[str, typer.Option(metavar="LIST", help="metrics of the trials")] = "accuracy",
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, ...")] = "auto",
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of datasets, as for dpbench run")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of trials")] = Path("results/reference-trials"),
    report: Annotated[Path, typer.Option(metavar="DIR", help="folder of table and figure")] = Path("results/reference"),
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="parallel processes, one thread each")] = 2,
    table_only: Annotated[bool, typer.Option("--table-only", help="run no trials; report the finished ones")] = False,
) -> None:
    """Runs a method with several numbers of private steps, and writes a table and a figure."""
    with one_line_errors():
        options = {"--device": device, "--metrics": metrics}
        request = Request(tuple(parse_epsilons(eps)), seeds, samples, out, data, preset, options=options)
        spec = open_dataset(dataset, DataOptions(data or default_root())).spec
        points = make_points(method, dataset, spec, preset, parse_factors(factors))
        task = Task(dataset, dataset, public, tuple(point.candidate for point in points))
        competing = list(entries([task], request))
        failed = [] if table_only else run_all(competing, request, jobs)
        write_report(method, competing, points, request, report)
    exit_if_failed(failed)


def parse_factors(text: str) -> list[float]:
    """ "1/8,2" -> [0.125, 2.0].

    Raises:
        DpbenchError: an item is not a positive number.
    """
    try:
        found = [float(Fraction(item.strip())) for item in text.split(",")]
    except (ValueError, ZeroDivisionError):
        found = []
    if not found or min(found) <= 0:
        raise DpbenchError(f"--factors must be positive numbers such as 1/8,1,2, not '{text}'")
    return found


def write_report(method: str, competing: list[Entry], points: list[Point], request: Request, folder: Path) -> None:
    """Writes the table and the figure, and prints the table.

    Raises:
        DpbenchError: no trial is finished, or the files cannot be written.
    """
    rows = finished_rows(competing, request)
    name, dataset = competing[0].method, competing[0].dataset
    lines = curve(rows, points, request.epsilons)
    figure = draw_curve(lines, f"{method} on {dataset}, preset {request.preset}")
    file = folder / f"curve-{name}-{safe_name(dataset)}"
    write_atomic(file.with_suffix(".csv"), lambda path: lines.to_csv(path, index=False, encoding="utf-8"))
    write_atomic(file.with_suffix(".png"), lambda path: figure.savefig(path, dpi=130))
    print(lines.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    typer.run(main)
