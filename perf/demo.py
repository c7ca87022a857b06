"""Profile of `make demo`: seconds of every phase, from empty folders, and the peak memory.

    python perf/demo.py                    # minutes, on two cores
    python perf/demo.py --samples 2000     # the same with fewer images

The command of the demo runs in folders of its own: data, cache, privacy record and results. The columns are its trials,
in the order in which they run. Public training is in the column of the trial that needs it first.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.cli import wait_briefly
from dpbench.core.progress import Advance, Quiet

FOLDERS = ("DPBENCH_DATA", "DPBENCH_CACHE", "DPBENCH_STATE")
BEFORE = "before"
"""The column of what is done before the first trial."""

SHORTEST = 0.5
"""Seconds below which a phase is counted in the row "other"."""


class Stopwatch(Quiet):
    """A display that measures the phases of every trial.

    Attributes:
        seconds: phase -> trial -> seconds.
        trials: trial -> seconds in all.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.trials: dict[str, float] = {BEFORE: 0.0}
        self._since = time.perf_counter()

    def say(self, line: str) -> None:
        """A line such as "[2/5] wavelet ε=1 seed 0, about 3 min left" starts a trial."""
        if found := re.match(r"\[\d+/\d+\] ([^,]+)", line):
            self.finish()
            self.trials[found[1]] = 0.0

    def finish(self) -> None:
        """Ends the running trial."""
        now = time.perf_counter()
        self.trials[self._trial] += now - self._since
        self._since = now

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Measures a phase."""
        start = time.perf_counter()
        yield lambda steps=1, note="": None
        self.seconds[name][self._trial] += time.perf_counter() - start

    @property
    def _trial(self) -> str:
        return list(self.trials)[-1]


def main(
    samples: Annotated[int, typer.Option(help="images per trial")] = 10_000,
    eps: Annotated[str, typer.Option(metavar="LIST", help="privacy budgets ε")] = "1,5,10",
) -> None:
    """Prints the table."""
    wait_briefly()  # like the command, before torch is imported
    from dpbench.benchmark.request import RunRequest, parse_epsilons
    from dpbench.benchmark.runner import run_request
    from dpbench.training.device import peak_memory_mb

    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {name: str(Path(folder, name)) for name in FOLDERS}
        request = RunRequest("wavelet", epsilons=parse_epsilons(eps), samples=samples, out=Path(folder, "results"))
        rows = run_request(request, watch).rows
        watch.finish()
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table(watch))
    for _, row in rows.iterrows():
        scores = " ".join(f"{name} {row[name]:.3f}" for name in ("accuracy", "fwd"))
        console.print(f"{row['reference'] or 'ε = ' + format(row['epsilon'], 'g')}: {scores}")
    console.print(f"peak memory of the process: {peak_memory_mb('cpu'):,.0f} MiB")


def table(watch: Stopwatch) -> Table:
    """One line per phase, one column per trial, with sums."""
    trials = list(watch.trials)
    table = Table("seconds", *trials, "sum", title=f"the demo: {sum(watch.trials.values()):.0f} s")
    shown = {name: spent for name, spent in watch.seconds.items() if sum(spent.values()) >= SHORTEST}
    for name, spent in shown.items():
        table.add_row(name, *cells([spent.get(trial, 0.0) for trial in trials]))
    measured = [sum(spent.get(trial, 0.0) for spent in shown.values()) for trial in trials]
    table.add_section()
    table.add_row("other", *cells([watch.trials[t] - m for t, m in zip(trials, measured, strict=True)]))
    table.add_row("sum", *cells([watch.trials[trial] for trial in trials]))
    return table


def cells(values: list[float]) -> list[str]:
    return [f"{value:.1f}" if value >= 0.05 else "" for value in [*values, sum(values)]]


if __name__ == "__main__":
    typer.run(main)
