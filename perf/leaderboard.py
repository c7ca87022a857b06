"""Time and memory of commands that read many finished trials.

    python perf/leaderboard.py
    python perf/leaderboard.py --trials 500

Makes folders of small finished trials, 5 seeds per configuration, and measures in new processes: `dpbench leaderboard`
for an empty folder and for all trials, for the first time and with the index of rows; and reading the trials, as
`dpbench run` does after its own trials.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from rows import scores, trial

from dpbench import METRICS
from dpbench.core.files import write_json

ROOT = Path(__file__).parent.parent
SEEDS = 5
METHODS = 5

READ = """
import sys
from pathlib import Path
from dpbench.results.leaderboard_rows import FILE, collect, write_csv
rows = collect(Path(sys.argv[1]))
write_csv(rows, Path(sys.argv[1]) / FILE)
"""


def make_trials(out: Path, count: int) -> None:
    """Finished trials of `METHODS` methods with `SEEDS` seeds per configuration, and a score in every column."""
    names = [column.name for metric in METRICS.names() for column in METRICS.get(metric).columns]
    for number in range(count):
        scored = scores() | {"values": dict.fromkeys(names, number / count), "ci95": dict.fromkeys(names, 0.01)}
        configuration, seed = divmod(number, SEEDS)
        method, key = f"method-{configuration % METHODS}", f"{number:016x}"
        record = trial(method=method, seed=seed, key=key, variant=f"steps={configuration}", config={"n": configuration})
        folder = out / "d" / method / key
        write_json(folder / "trial.json", record.as_json())
        write_json(folder / "scores.json", scored)


class Cost(NamedTuple):
    """Cost of a process: wall-clock seconds, CPU seconds of all cores, peak memory in MB."""

    seconds: float
    cpu: float
    memory: float


def measure(*arguments: str) -> Cost:
    """The cost of a Python process."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments[:3])} failed")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


def main(
    trials: Annotated[int, typer.Option(help="number of finished trials")] = 10_000,
    rounds: Annotated[int, typer.Option(help="measurements; the quickest counts")] = 3,
) -> None:
    """Prints the table."""
    table = Table("what", "seconds", "CPU s", "MB", title=f"{trials} finished trials")
    with TemporaryDirectory() as name:
        empty, full = Path(name, "empty"), Path(name, "full")
        empty.mkdir()
        make_trials(full, trials)
        os.environ["DPBENCH_CACHE"] = str(Path(name, "cache"))  # no index yet
        commands = {
            "`dpbench leaderboard`, no trials": (rounds, ("-m", "dpbench", "leaderboard", str(empty))),
            "`dpbench leaderboard`, the first time": (1, ("-m", "dpbench", "leaderboard", str(full))),
            "`dpbench leaderboard`": (rounds, ("-m", "dpbench", "leaderboard", str(full))),
            "reading in `dpbench run`": (rounds, ("-c", READ, str(full))),
        }
        for title, (times, arguments) in commands.items():
            cost = min(measure(*arguments) for _ in range(times))
            table.add_row(title, f"{cost.seconds:.1f}", f"{cost.cpu:.1f}", f"{cost.memory:.0f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
