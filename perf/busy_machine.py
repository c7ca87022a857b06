"""Cost and benefit of shorter busy-waiting in OpenMP, on a quiet machine and on a busy one.

    python perf/busy_machine.py
    python perf/busy_machine.py --model transformer --rounds 5
    sudo python perf/busy_machine.py --realtime

Torch computes with OpenMP. By default, threads that wait for each other keep their cores busy, which delays all of them
if other programs need the cores. The `dpbench` command sets GOMP_SPINCOUNT=10000. Each measurement runs the same plain
training step in a new process, under each setting in turn: alone, and beside busy loops at a lower priority. The table
shows medians over rounds: seconds per step, CPU seconds per step, and the time relative to torch's default in the same
round. With --realtime, the steps have priority over every other program, as if they were alone on the machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
VARIABLES = ("OMP_", "GOMP_", "KMP_")
SETTINGS: dict[str, dict[str, str]] = {
    "torch's default": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=3000": {"GOMP_SPINCOUNT": "3000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
}
STEP = "from perf.busy_machine import work; work({model!r}, {records}, {steps}, {realtime})"
LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"  # ends with its parent


class Cost(NamedTuple):
    """Seconds per step: wall-clock time, and CPU time of all cores."""

    wall: float
    cpu: float


def work(model: str, records: int, steps: int, realtime: bool) -> None:
    """Takes plain training steps and prints their `Cost` as JSON; runs in a separate process."""
    from perf._engines import make_step
    from perf._models import CASES

    case = CASES[model]
    step, batch = make_step("plain", case, "cpu"), case.records(records)
    for _ in range(2):
        step(batch, records)  # warms up
    for thread in os.listdir("/proc/self/task") if realtime else ():
        os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(1))
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step(batch, records)
    print(json.dumps([(time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps]))


def measure(setting: dict[str, str], model: str, records: int, steps: int, realtime: bool) -> Cost:
    own = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)}
    command = [sys.executable, "-c", STEP.format(model=model, records=records, steps=steps, realtime=realtime)]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = own | setting | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Cost(*json.loads(done.stdout))


@contextmanager
def busy(loops: int, nice: int) -> Iterator[None]:
    """Busy loops at a priority that is lower by `nice`."""
    command = ["nice", "-n", str(nice), sys.executable, "-c", LOOP]
    started = [subprocess.Popen(command) for _ in range(loops)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def main(
    model: Annotated[str, typer.Option(help="unet or transformer: a model of `dp_step.py`")] = "unet",
    records: Annotated[int, typer.Option(help="records per step")] = 16,
    steps: Annotated[int, typer.Option(help="steps per measurement")] = 20,
    rounds: Annotated[int, typer.Option(help="measurements per setting")] = 3,
    loops: Annotated[int, typer.Option(help="busy loops; 0 for one per core")] = 0,
    nice: Annotated[int, typer.Option(help="how much lower their priority is")] = 10,
    realtime: Annotated[
        bool, typer.Option(help="measure at real-time priority, without loops; Linux, as root")
    ] = False,
) -> None:
    """Prints the cost of a training step under each setting, alone and beside busy loops."""
    loops = loops or os.cpu_count() or 1
    beside = "at real-time priority" if realtime else f"beside: {loops} busy loops at nice {nice}"
    title = f"{model}, {records} records, {os.cpu_count()} cores; {beside}"
    table = Table("setting", "beside", "s per step", "CPU s per step", "relative time", title=title)
    for running in (0,) if realtime else (0, loops):
        found: dict[str, list[Cost]] = {name: [] for name in SETTINGS}
        with busy(running, nice):
            for _ in range(rounds):
                for name, setting in SETTINGS.items():
                    found[name].append(measure(setting, model, records, steps, realtime))
        first = next(iter(found.values()))
        for name, costs in found.items():
            wall, cpu = (statistics.median(values) for values in zip(*costs, strict=True))
            ratio = statistics.median(a.wall / b.wall for a, b in zip(costs, first, strict=True))
            table.add_row(name, f"{running} loops" if running else "", f"{wall:.3f}", f"{cpu:.3f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
