"""What every score sees: its spread over honest draws compared with its ±, and its shift on corrupted sets.

    python perf/coverage.py --out coverage.csv --markdown results/reference/coverage.md
    python perf/coverage.py --data DIR --dataset mnist
    python perf/coverage.py --quick

Samples, train and test are disjoint random parts of a dataset's train split, so the samples are those of a perfect
generator. They are drawn several times, and once with each fault in `_coverage_sets.CORRUPTIONS`. `evaluate` scores
each set, as it scores a trial's samples.

The first table compares the standard deviation over fresh draws, of the samples alone and of all three sets, with the
interval that a row states. The others have a row for each fault and a column for each score: its shift in standard
deviations over fresh samples, marked with "!" if it differs from the `real` row by more than both intervals, and with
"*" if its metric has a caveat that honest draws do not have.

Evaluations are stored as soon as they are made, so a restarted run continues where it ended. Evaluations with other
metrics, other versions of metrics, or other sizes are stored elsewhere.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.core.data import DataOptions
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest, write_text
from dpbench.core.registries import METRICS
from dpbench.data.opening import default_root, open_dataset
from dpbench.evaluation.evaluator import default_metrics
from perf._coverage_cells import ALL_ANEW, Cell, Found, Laboratory, cells
from perf._coverage_sets import Draws
from perf._coverage_tables import as_csv, caveats_sheet, corrupted_sheets, honest_sheet

WIDTH = 120


def chosen(metrics: str, without: str) -> list[str]:
    """The names of the metrics: the given ones, or all default ones, without those to leave out."""
    named = metrics.split(",") if metrics else default_metrics()
    return [name for name in named if name not in without.split(",")]


def measure(laboratory: Laboratory, wanted: list[Cell]) -> dict[Cell, Found]:
    """All results, stored or measured now; prints the remaining time."""
    results = {cell: found for cell in wanted if (found := laboratory.stored(cell))}
    left = [cell for cell in wanted if cell not in results]
    for number, (cell, found) in enumerate(laboratory.measured(left), 1):
        results[cell] = found
        minutes = math.ceil(sum(expected(results, cell) for cell in left[number:]) / 60)
        title = f"{cell.images} {cell.number or ''}".strip()
        print(f"{title}: {found.seconds:.0f} s, about {minutes} min left", file=sys.stderr)
    return {cell: results[cell] for cell in wanted}


def expected(results: dict[Cell, Found], cell: Cell) -> float:
    """The seconds that a cell will take: those of the last measured cell with as much to do, or else of the last cell.

    For cells that draw all sets anew, nothing is stored about the real images.
    """
    alike = [f for c, f in results.items() if (c.images == ALL_ANEW) == (cell.images == ALL_ANEW)]
    return (alike or list(results.values()))[-1].seconds


def main(
    dataset: Annotated[str, typer.Option(help="dataset whose train split is drawn from")] = "shapes",
    data: Annotated[Path | None, typer.Option(help="data folder")] = None,
    samples: Annotated[int, typer.Option(help="images scored")] = 2000,
    train: Annotated[int, typer.Option(help="images of train, at least twice the samples")] = 10_000,
    test: Annotated[int, typer.Option(help="images of test")] = 2000,
    draws: Annotated[int, typer.Option(help="fresh draws of the samples, and of all sets")] = 10,
    metrics: Annotated[str, typer.Option(help="comma-separated; by default all default ones")] = "",
    without: Annotated[str, typer.Option(help="comma-separated metrics to leave out")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    quick: Annotated[bool, typer.Option("--quick", help="tiny sets and 3 draws: a test of this script")] = False,
    work: Annotated[Path, typer.Option(help="folder for stored evaluations")] = Path("results/coverage"),
    out: Annotated[Path | None, typer.Option(help="CSV file, one line per evaluation and score")] = None,
    markdown: Annotated[Path | None, typer.Option(help="file for the tables")] = None,
) -> None:
    """Measures what is not stored yet, and prints the tables."""
    if quick:
        samples, train, test, draws = 20, 60, 20, 3
    try:
        names = chosen(metrics, without)
        protocols = {name: METRICS.get(name).protocol for name in names}
        pool = open_dataset(dataset, DataOptions(data or default_root())).train()
        laboratory = Laboratory(
            Draws(pool, samples, train, test, draws),
            names,
            samples,
            work / f"{pool.spec.name.replace(':', '-')}-{digest([pool.fingerprint, samples, train, test, protocols])}",
            device,
        )
        results = measure(laboratory, cells(draws, bool(pool.spec.classes)))
    except DpbenchError as error:
        raise typer.BadParameter(str(error)) from error
    sheets = [honest_sheet(results), *corrupted_sheets(results, WIDTH), caveats_sheet(results)]
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for sheet in sheets:
        console.print(sheet.for_terminal())
    if out:
        write_text(out, as_csv(results))
    if markdown:
        sizes = f"{samples:,} samples, {train:,} train and {test:,} test images, {draws} draws"
        title = f"# What every score sees: {dataset}\n\n`python perf/coverage.py --dataset {dataset}`: {sizes}.\n\n"
        write_text(markdown, title + "\n".join(sheet.markdown() for sheet in sheets))


if __name__ == "__main__":
    typer.run(main)
