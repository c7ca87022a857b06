"""Profile of `make demo`: seconds of every phase, from empty folders, and the peak memory.

    python perf/demo.py                    # minutes, on two cores
    python perf/demo.py --samples 10000    # the default of `dpbench run`

The demo's command runs in separate folders: data, cache, privacy record and results. The columns are its trials, in the
order in which they run. Public training is in the column of the trial that needs it first.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.cli.process_setup import wait_briefly
from dpbench.core.progress import Advance, Quiet

if TYPE_CHECKING:
    import pandas as pd

FOLDERS = ("DPBENCH_DATA", "DPBENCH_CACHE", "DPBENCH_STATE")

PHASES = {
    "tokenizer (public)": "train the tokenizer (public)",
    "detail stage (public)": "train the refiner (public)",
    "transformer (public)": "pretrain the token model (public)",
    "private steps": "finetune the token model (private)",
    "sampling": "sampling",
}
"""Line of the table -> phase, as progress bars name it."""

CLASSIFIERS = "accuracy: "
"""Prefix of the phases that train classifiers, which overlap."""


class Stopwatch(Quiet):
    """A display that measures the phases of every trial.

    Attributes:
        seconds: for each trial in order of execution, phase -> seconds; "all" is the whole trial.
        before: seconds before the first trial.
    """

    def __init__(self) -> None:
        self.seconds: list[dict[str, float]] = []
        self.before = 0.0
        self._since = time.perf_counter()

    def say(self, line: str) -> None:
        """A line such as "[2/5] wavelet ε=1 seed 0, about 3 min left" starts a trial."""
        if re.match(r"\[\d+/\d+\] ", line):
            self.finish()
            self.seconds.append({})

    def finish(self) -> None:
        """Ends the running trial."""
        now = time.perf_counter()
        if self.seconds:
            self.seconds[-1]["all"] = now - self._since
        else:
            self.before = now - self._since
        self._since = now

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Measures a phase."""
        start = time.perf_counter()
        yield lambda steps=1, note="": None
        if self.seconds:
            self.seconds[-1][name] = self.seconds[-1].get(name, 0.0) + time.perf_counter() - start


def main(
    samples: Annotated[int, typer.Option(help="images per trial")] = 3000,
    eps: Annotated[str, typer.Option(metavar="LIST", help="privacy budgets ε")] = "1,5,10",
) -> None:
    """Prints the table."""
    wait_briefly()  # like the command, before torch is imported
    from dpbench.benchmark.commands.running import run_request
    from dpbench.benchmark.request import RunRequest, parse_epsilons
    from dpbench.core.peak_memory import peak_memory_mb

    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {name: str(Path(folder, name)) for name in FOLDERS}
        request = RunRequest("wavelet", epsilons=parse_epsilons(eps), samples=samples, out=Path(folder, "results"))
        rows = run_request(request, watch).rows
        watch.finish()
    rows.index = [row["reference"] or f"ε = {row['epsilon']:g}" for _, row in rows.iterrows()]
    console = Console()
    console.print(table(watch, rows))
    console.print(rows[["accuracy", "fwd"]].round(3).to_string())
    console.print(f"peak memory since the last trial began: {peak_memory_mb('cpu'):,.0f} MiB")


def table(watch: Stopwatch, rows: pd.DataFrame) -> Table:
    """One line per phase, one column per trial, with sums."""
    trials = watch.seconds
    lines = {line: [trial.get(phase, 0.0) for trial in trials] for line, phase in PHASES.items()}
    accuracy = [max(s for name, s in trial.items() if name.startswith(CLASSIFIERS)) for trial in trials]
    scoring = rows["seconds_evaluate"]
    lines |= {"accuracy": accuracy, "other metrics": [s - a for s, a in zip(scoring, accuracy, strict=True)]}
    whole = [trial["all"] for trial in trials]
    lines["other"] = [t - sum(known) for t, *known in zip(whole, *lines.values(), strict=True)]
    table = Table("seconds", *rows.index, "sum", title=f"the demo: {watch.before + sum(whole):.0f} s")
    for line, seconds in lines.items():
        table.add_row(line, *cells(seconds))
    table.add_section()
    table.add_row("trial", *cells(whole))
    table.add_row("data, noise calibration", *[""] * len(trials), f"{watch.before:.0f}")
    return table


def cells(values: list[float]) -> list[str]:
    return [f"{value:.0f}" if value >= 0.5 else "" for value in [*values, sum(values)]]


if __name__ == "__main__":
    typer.run(main)
