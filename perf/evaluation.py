"""Cost of scoring one trial with all default metrics, one metric at a time.

    python perf/evaluation.py                    # 10,000 images: a few minutes on two cores
    python perf/evaluation.py --images 2000

Images of `shapes` without their finest detail are scored like a trial's samples, against its test split and with its
whole train split: once with nothing cached, as in the first row of a run, and once with what the first time has stored
of real images, as in every further row. The third column is the `real` row after them. Pretrained weights are not used.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.data import DataOptions
from dpbench.core.registries import METRICS
from dpbench.data.arrays import Converted, Subset
from dpbench.data.opening import default_root, open_dataset
from dpbench.evaluation.evaluator import default_metrics, evaluate, evaluate_real
from dpbench.evaluation.extraction import RealCache
from dpbench.evaluation.scores import Scores
from dpbench.models.pretrained import finding
from dpbench.training.device import peak_memory_mb


@dataclass(frozen=True)
class Cost:
    """Seconds per computed metric, of the whole row, of all its threads together; peak memory of the process so far."""

    metrics: dict[str, float]
    seconds: float
    processor_seconds: float
    peak_mb: float


def without_detail(images: Tensor) -> Tensor:
    """uint8 [b, c, h, w] -> the means of blocks of 2 x 2 pixels, at the same resolution."""
    means = torch.nn.functional.avg_pool2d(images.float(), 2).round().to(torch.uint8)
    return means.repeat_interleave(2, 2).repeat_interleave(2, 3)


def cost(score: Callable[[], Scores]) -> Cost:
    wall, processor = time.perf_counter(), time.process_time()
    scores = score()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    columns = {name: METRICS.get(name).columns for name in scores.seconds}
    computed = [name for name in columns if any(scores.values[column.name] is not None for column in columns[name])]
    return Cost({name: scores.seconds[name] for name in computed}, wall, processor, peak_memory_mb("cpu") or 0)


def costs(folder: Path, images: int) -> dict[str, Cost]:
    """Title of a column -> cost."""
    whole = open_dataset("shapes", DataOptions(default_root()))
    train, test = whole.train(), whole.test()
    synthetic = Converted(Subset(train, range(images)), train.spec, without_detail, "without detail")
    finding.places = lambda file: []  # no weights, wherever they are
    kept, metrics = RealCache(folder / "real"), default_metrics()

    def run() -> RunContext:
        return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(folder))

    def private() -> Scores:
        return evaluate(metrics, synthetic, test, run(), train, kept)

    for split in (train, test):
        split.batch([0])  # renders the dataset if it is not stored yet
    return {
        "nothing cached": cost(private),
        "real side cached": cost(private),
        "`real` row": cost(lambda: evaluate_real(metrics, train, test, images, run(), kept)),
    }


def main(
    images: Annotated[int, typer.Option(help="synthetic images")] = 10_000,
    threads: Annotated[int, typer.Option(help="CPU threads of torch; 0 for its default")] = 0,
) -> None:
    """Prints the table."""
    if threads:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        found = costs(Path(folder), images)
    title = f"seconds to score {images:,} images of 32 x 32 with {torch.get_num_threads()} threads"
    table = Table("metric", *found, title=title)
    for name in {name: None for column in found.values() for name in column.metrics}:
        table.add_row(name, *(f"{column.metrics.get(name, 0):.1f}" for column in found.values()))
    table.add_section()
    totals: dict[str, Callable[[Cost], float]] = {
        "all": lambda column: column.seconds,
        "all but accuracy": lambda column: column.seconds - column.metrics["accuracy"],
        "processor seconds": lambda column: column.processor_seconds,
        "peak memory [MiB]": lambda column: column.peak_mb,
    }
    for name, of in totals.items():
        table.add_row(name, *(f"{of(column):.0f}" for column in found.values()))
    Console(width=None if sys.stdout.isatty() else 100).print(table)


if __name__ == "__main__":
    typer.run(main)
