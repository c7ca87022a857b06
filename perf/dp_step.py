"""Cost of a private step compared with plain training, for models like those of the methods.

    python perf/dp_step.py --model transformer --engine plain --engine book-keeping

A step computes the gradients of all records of a batch in micro-batches. Private engines clip each record's gradient
and sum the results; "plain" accumulates the gradient of the mean loss over the same records and views. Noise and the
optimiser step are excluded. The engines alternate in one process, each with its fastest micro-batch size. The table
shows medians over rounds of the seconds per step and of the ratio to plain training in the same round. "memory" is the
peak of a step beyond the memory in use before it, in a new process; "memory ratio" compares with plain training at the
same micro-batch size. "error" is the relative distance between the clipped sums of two records from this engine and
from the first private engine.
"""

from __future__ import annotations

import csv
import statistics
import sys
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.core.errors import DpbenchError, UnknownName
from perf._engines import ENGINES, Step, make_step
from perf._measure import Clock, best_micro_batch, peak_memory, records, time_in_turns
from perf._models import CASES, LARGE, Case
from perf._profile import print_profile

COLUMNS = ("model", "engine", "rows", "seconds", "ratio", "memory [MiB]", "memory ratio", "error", "why not")


def measure(
    name: str, case: Case, engines: list[str], rounds: int, device: str, clock: Clock, console: Console
) -> list[tuple[str, ...]]:
    """The lines of one model in the table."""
    steps: dict[str, Step] = {}
    refused: dict[str, str] = {}
    sums: dict[str, Tensor] = {}
    for engine in engines:
        try:
            step = make_step(engine, case, device)
            sums[engine] = torch.cat([g.flatten() for g in step(records(case, 2, device), 2 * case.views)])
            steps[engine] = step
        except DpbenchError as error:
            refused[engine] = str(error)
    private = [e for e in steps if e != "plain"]
    errors = {e: float((sums[e] - sums[private[0]]).norm() / sums[private[0]].norm()) for e in private}
    rows = {}
    for engine, step in steps.items():
        console.log(f"{name}: the best micro-batch of {engine}")
        rows[engine] = best_micro_batch(step, case, device, clock)
    console.log(f"{name}: timing")
    times = time_in_turns(steps, rows, case, rounds or case.rounds, device, clock)
    del step, steps  # frees the device for the processes that measure memory
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    console.log(f"{name}: memory")
    memory = {
        (engine, n): peak_memory(name, engine, n, device, torch.get_num_threads())
        for engine, n in {*rows.items(), *(("plain", n) for n in rows.values())}
    }
    lines: list[tuple[str, ...]] = []
    for engine in engines:
        if engine in refused:
            lines.append((name, engine, *["—"] * 6, refused[engine]))
            continue
        n = rows[engine]
        ratios = [a / b for a, b in zip(times[engine], times["plain"], strict=True)]
        lines.append(
            (
                name,
                engine,
                str(n),
                f"{statistics.median(times[engine]):.3f}",
                f"{statistics.median(ratios):.2f}",
                f"{memory[engine, n] / 2**20:.0f}",
                f"{memory[engine, n] / memory['plain', n]:.2f}",
                f"{errors[engine]:.0e}" if engine in private[1:] else "",
                "",
            )
        )
    return lines


def main(
    model: Annotated[list[str] | None, typer.Option(help=f"repeatable; one of {', '.join([*CASES, *LARGE])}")] = None,
    engine: Annotated[list[str] | None, typer.Option(help=f"repeatable; one of {', '.join(ENGINES)}")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for torch's default")] = 0,
    cpu_time: Annotated[
        bool, typer.Option("--cpu-time", help="CPU seconds: for a busy machine, with --threads 1")
    ] = False,
    rounds: Annotated[int, typer.Option(help="timings per engine; 0 for the model's default")] = 0,
    large: Annotated[bool, typer.Option("--large", help="the large models instead of the small ones (GPU)")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="profile the book-keeping engine instead")] = False,
    file: Annotated[Path | None, typer.Option("--csv", help="also write the table to this file")] = None,
) -> None:
    """Prints the table."""
    if threads:
        torch.set_num_threads(threads)
    models = model or list(LARGE if large else CASES)
    engines = [e for e in ENGINES if e == "plain" or not engine or e in engine]  # ratios need plain
    for kind, names, known in (("model", models, {**CASES, **LARGE}), ("engine", engine or [], ENGINES)):
        for name in names:
            if name not in known:
                raise typer.BadParameter(str(UnknownName(kind, name, known)))
    if any(name in LARGE for name in models) and not device.startswith("cuda"):
        raise typer.BadParameter("the large models need --device cuda")
    console = Console(stderr=True)
    if profile:
        for name in models:
            case = {**CASES, **LARGE}[name]
            print(name)
            print_profile(case, best_micro_batch(make_step("book-keeping", case, device), case, device), device)
        return
    where = torch.cuda.get_device_name() if device.startswith("cuda") else f"{torch.get_num_threads()} CPU threads"
    clock = time.process_time if cpu_time else time.perf_counter
    table = Table(*COLUMNS, title=f"a private step against plain training: {where}, torch {torch.__version__}")
    lines = []
    for name in models:
        lines += measure(name, {**CASES, **LARGE}[name], engines, rounds, device, clock, console)
        table.add_section()
        for line in lines[-len(engines) :]:
            table.add_row(*line)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    if file:
        with file.open("w", newline="") as stream:
            csv.writer(stream).writerows([COLUMNS, *lines])


if __name__ == "__main__":
    typer.run(main)
