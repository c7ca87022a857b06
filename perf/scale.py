"""Costs that grow with the number of trials or images: workers, the overhead of a trial, a finished grid, memory.

    python perf/scale.py grid                       # 32 small trials in one process, and with 1 and 2 workers
    python perf/scale.py finished                   # commands on 10,000 finished trials
    python perf/scale.py images --features 2048     # peak memory of scoring 1,000,000 images

`grid` trains `dp-merf` on `shapes` with 32 seeds. `finished` copies the files of one trial to all seeds, and measures
`dpbench run` of all seeds and `dpbench leaderboard`, in new processes. `images` scores noise with an extractor that
makes up features, to measure the rest of the evaluation: storing features, and FID, KID, precision and recall.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from unittest.mock import patch

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench import EXTRACTORS, Batch, DatasetSpec, Extractor, ImageDataset
from dpbench.benchmark.experiment import read_experiment
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.auto_steps import Planner
from dpbench.benchmark.trials.schedule import plannable_methods
from dpbench.benchmark.trials.sweep import make_trials
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.files import read_json
from dpbench.core.peak_memory import peak_memory_mb
from dpbench.evaluation.evaluator import evaluate
from perf._measure import in_new_process
from perf.leaderboard import Cost, measure

GRID = (
    "--method", "dp-merf", "--set", "steps=50", "--set", "features=200", "--samples", "100", "--metrics", "fwd",
    "--references", "none", "--device", "cpu",
)  # fmt: skip
LAUNCHED = {
    "in one process": (),
    "1 worker": ("--launcher", "local", "--workers", "1"),
    "2 workers": ("--launcher", "local", "--workers", "2"),
}

SCORED = ("fid", "kid", "prdc")


def run_command(out: Path, seeds: int, *options: str) -> Cost:
    """The cost of `dpbench run` for a grid, including its workers."""
    return measure("-m", "dpbench", "run", *GRID, "--seeds", str(seeds), "--out", str(out), *options)


def grid(trials: int, rounds: int) -> None:
    """Prints the time of a grid, by launcher."""
    table = Table("", "seconds", "CPU s", "overhead per trial, CPU s", title=f"{trials} small trials")
    with TemporaryDirectory() as name:
        os.environ["DPBENCH_STATE"] = str(Path(name, "state"))
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        run_command(Path(name, "first"), 1)  # renders the dataset
        found = {
            title: min(run_command(Path(name, f"{title} {number}"), trials, *options) for number in range(rounds))
            for title, options in LAUNCHED.items()
        }
    alone = found["in one process"].cpu
    for title, cost in found.items():
        more = f"{(cost.cpu - alone) / trials:.2f}"
        table.add_row(title, f"{cost.seconds:.0f}", f"{cost.cpu:.0f}", more)
    Console().print(table)


def write_finished(trials: Iterable[TrialSpec], out: Path) -> None:
    """Writes the files of finished trials, copied from the one finished trial, without samples and model."""
    (like,) = out.rglob("trial.json")
    record, scores = read_json(like), read_json(like.with_name("scores.json"))
    for trial in trials:
        folder = trial.folder(out).path
        if folder != like.parent:
            folder.mkdir(parents=True)
            for file, content in {"trial": record | {"key": trial.key, "seed": trial.seed}, "scores": scores}.items():
                (folder / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")


def finished(trials: int, rounds: int) -> None:
    """Prints the cost of commands whose trials are all finished."""
    table = Table("", "seconds", "CPU s", title=f"{trials} finished trials")
    with TemporaryDirectory() as name:
        os.environ["DPBENCH_STATE"] = str(Path(name, "state"))
        out = Path(name, "out")
        run_command(out, 1)
        (stored,) = (out / "experiments").iterdir()
        (request,) = read_experiment(stored, {"seeds": trials})
        with Session.open(request) as session:
            methods = plannable_methods(request, session.inputs.spec)
            write_finished(make_trials(methods, session, Planner(session)), out)
        commands = {
            "`dpbench run`": lambda: run_command(out, trials),
            "`dpbench leaderboard`": lambda: measure("-m", "dpbench", "leaderboard", str(out)),
        }
        for title, command in commands.items():
            command()  # makes the index of rows
            cost = min(command() for _ in range(rounds))
            table.add_row(title, f"{cost.seconds:.1f}", f"{cost.cpu:.1f}")
    Console().print(table)


class Noise(ImageDataset):
    """Noise images generated when they are read: 1 × 8 × 8, without classes."""

    def __init__(self, count: int, seed: int):
        self.spec = DatasetSpec("noise", 1, 8, count, count, None, True)
        self._count, self._seed = count, seed

    def __len__(self) -> int:
        return self._count

    def batch(self, indices: Sequence[int]) -> Batch:
        generator = torch.Generator().manual_seed(self._seed * 10**8 + indices[0])  # it uses 32 bits
        return Batch(torch.randint(0, 256, (len(indices), *self.spec.shape), generator=generator, dtype=torch.uint8))

    @property
    def fingerprint(self) -> str:
        return f"noise {self._count} {self._seed}"


class Simulated(Extractor):
    """Features made up from a few pixels, to leave out the cost of a network."""

    description = "simulated"
    width = 2048

    def __call__(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)[:, :16].float() / 255
        return torch.sin(pixels @ torch.linspace(1, 100, 16 * self.width).view(16, self.width))


def peak_of_scoring(count: int, reference: int, width: int) -> tuple[float, float, float]:
    """Peak memory of a process in MB before and after it scores `count` images, and the seconds of scoring."""
    Simulated.width = width
    with TemporaryDirectory() as folder, patch.object(EXTRACTORS, "get", lambda name: Simulated):
        run = RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(Path(folder)))
        evaluate(SCORED, Noise(100, 2), Noise(100, 1), run)  # one-time loading
        before, start = peak_memory_mb("cpu") or 0.0, time.perf_counter()
        scored = evaluate(SCORED, Noise(count, 0), Noise(reference, 1), run)
        assert not scored.missing, scored.missing
        return before, peak_memory_mb("cpu") or 0.0, time.perf_counter() - start


def images(counts: Sequence[int], reference: int, features: int) -> None:
    """Prints the peak memory of scoring, by the number of images."""
    table = Table("images", "MB before", "MB at the peak", "seconds", title=f"{features} features, {', '.join(SCORED)}")
    for number in counts:
        before, peak, seconds = in_new_process(peak_of_scoring, number, reference, features)
        table.add_row(f"{number:,}", f"{before:.0f}", f"{peak:.0f}", f"{seconds:.0f}")
    Console().print(table)


def main(
    part: Annotated[str, typer.Argument(help="grid, finished or images")],
    trials: Annotated[int | None, typer.Option(help="trials; by default 32 for grid, 10,000 for finished")] = None,
    rounds: Annotated[int, typer.Option(help="measurements; the quickest counts")] = 1,
    count: Annotated[list[int] | None, typer.Option(help="number of scored images; repeatable")] = None,
    reference: Annotated[int, typer.Option(help="number of reference images")] = 10_000,
    features: Annotated[int, typer.Option(help="features per image; Inception has 2048")] = 2048,
) -> None:
    """Prints one of the tables."""
    parts = {
        "grid": lambda: grid(trials or 32, rounds),
        "finished": lambda: finished(trials or 10_000, rounds),
        "images": lambda: images(count or (10_000, 1_000_000), reference, features),
    }
    parts[part]()


if __name__ == "__main__":
    typer.run(main)
