"""Cost of scoring one trial with all default metrics: the share of each metric in the CPU time.

    python perf/suite.py                            # 10,000 images: a few minutes on two cores
    python perf/suite.py --images 2000
    python perf/suite.py --images 1000 --others     # also clean-fid and torch-fidelity: about half an hour more

Images of `shapes` without their finest detail are scored like a trial's samples, against its test split and with its
whole train split: once with nothing cached, as in the first row of a run, and once with the cached results of real
images, as in every further row. The third column is the `real` row after them. Pretrained weights are not used. Seconds
are CPU time of all threads, so they do not depend on other programs. Features that metrics share count for the first
metric in the table that needs them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated
from unittest.mock import patch

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.data import DataOptions
from dpbench.core.peak_memory import peak_memory_mb
from dpbench.core.registries import METRICS
from dpbench.data.arrays import Converted, Subset
from dpbench.data.opening import default_root, open_dataset
from dpbench.evaluation import evaluator
from dpbench.evaluation.evaluator import default_metrics, evaluate, evaluate_real
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.scores import Scores
from dpbench.models.pretrained import finding
from perf._other_packages import comparison


@dataclass(frozen=True)
class Cost:
    """CPU seconds of each computed metric and of the whole row; peak memory of the process so far."""

    metrics: dict[str, float]
    seconds: float
    peak_mb: float

    @property
    def shares(self) -> dict[str, float]:
        """CPU seconds of each part of the row, which add up to the total."""
        return {**self.metrics, "input checks and the rest": self.seconds - sum(self.metrics.values())}


def without_detail(images: Tensor) -> Tensor:
    """uint8 [b, c, h, w] -> the means of 2 x 2 pixel blocks, at the same resolution."""
    means = torch.nn.functional.avg_pool2d(images.float(), 2).round().to(torch.uint8)
    return means.repeat_interleave(2, 2).repeat_interleave(2, 3)


def cost(score: Callable[[], Scores]) -> Cost:
    """Runs `score` with a clock that counts the CPU time of all threads."""
    clock, start = SimpleNamespace(perf_counter=time.process_time), time.process_time()
    with patch.object(evaluator, "time", clock):
        scores = score()
    columns = {name: METRICS.get(name).columns for name in scores.seconds}
    computed = [name for name in columns if any(scores.values[column.name] is not None for column in columns[name])]
    return Cost(
        {name: scores.seconds[name] for name in computed}, time.process_time() - start, peak_memory_mb("cpu") or 0
    )


def costs(folder: Path, images: int) -> dict[str, Cost]:
    """Title of a column -> cost."""
    whole = open_dataset("shapes", DataOptions(default_root()))
    train, test = whole.train(), whole.test()
    synthetic = Converted(Subset(train, range(images)), train.spec, without_detail, "without detail")
    finding.places = lambda file: []  # no weights, wherever they are
    kept, metrics = EvaluationCache(folder / "real"), default_metrics()

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


def shares_table(found: dict[str, Cost], title: str) -> Table:
    """CPU seconds and shares of each metric, the most expensive one first."""
    table = Table("CPU seconds", *(text for name in found for text in (name, "%")), title=title)
    parts = {name: None for column in found.values() for name in column.shares}
    for name in sorted(parts, key=lambda name: -max(column.shares.get(name, 0) for column in found.values())):
        table.add_row(name, *_seconds_and_share(found, lambda column, name=name: column.shares.get(name, 0)))
    table.add_section()
    table.add_row("all", *_seconds_and_share(found, lambda column: column.seconds))
    table.add_row("all but accuracy", *_seconds_and_share(found, lambda c: c.seconds - c.metrics["accuracy"]))
    table.add_row("peak memory [MiB]", *(text for c in found.values() for text in (f"{c.peak_mb:.0f}", "")))
    return table


def _seconds_and_share(found: dict[str, Cost], of: Callable[[Cost], float]) -> list[str]:
    return [text for c in found.values() for text in (f"{of(c):.1f}", f"{100 * of(c) / c.seconds:.0f}")]


def main(
    images: Annotated[int, typer.Option(help="synthetic images")] = 10_000,
    threads: Annotated[int, typer.Option(help="CPU threads of torch; 0 for its default")] = 0,
    others: Annotated[bool, typer.Option("--others", help="compare with clean-fid and torch-fidelity")] = False,
) -> None:
    """Prints the tables."""
    if threads:
        torch.set_num_threads(threads)
    console = Console(width=None if sys.stdout.isatty() else 110)
    with tempfile.TemporaryDirectory() as folder:
        found = costs(Path(folder), images)
    console.print(shares_table(found, f"scoring {images:,} images of 32 x 32 with {torch.get_num_threads()} threads"))
    if others:
        console.print(comparison(images, torch.get_num_threads()))


if __name__ == "__main__":
    typer.run(main)
