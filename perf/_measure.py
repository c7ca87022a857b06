"""Run time and peak memory of the steps in `_engines.py` and of arbitrary calls."""

from __future__ import annotations

import ctypes
import gc
import math
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import torch

from dpbench.core.specs import Batch
from perf._engines import Step, make_step
from perf._models import CASES, LARGE, Case

T = TypeVar("T")

Clock = Callable[[], float]
"""Seconds: `time.perf_counter`, or `time.process_time` beside other work."""

MEMORY_PARTS = 3
"""Number of micro-batches in a memory measurement; later ones need no more memory."""


def records(case: Case, count: int, device: str) -> Batch:
    """The first `count` records of a step, on the device."""
    torch.manual_seed(0)
    return case.records(case.count).map(lambda t: t[:count].to(device))


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds(step: Step, batch: Batch, rows: int, device: str, clock: Clock = time.perf_counter) -> float:
    synchronize(device)
    start = clock()
    step(batch, rows)
    synchronize(device)
    return clock() - start


def best_micro_batch(step: Step, case: Case, device: str, clock: Clock = time.perf_counter) -> int:
    """The fastest candidate micro-batch on `case.probe` rows.

    The search stops at the first candidate that is clearly slower than the best or does not fit in memory.
    """
    batch = records(case, case.probe // case.views, device)
    best, least = 0, math.inf
    for rows in case.candidates:
        try:
            seconds(step, records(case, rows // case.views, device), rows, device)  # warms up
            took = min(seconds(step, batch, rows, device, clock) for _ in range(2))
        except torch.cuda.OutOfMemoryError:
            if not best:
                raise
            torch.cuda.empty_cache()
            break
        if took < least:
            best, least = rows, took
        elif took > 1.25 * least:
            break
    return best


def time_in_turns(
    steps: dict[str, Step], rows: dict[str, int], case: Case, rounds: int, device: str, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds per step of every engine in each round; the order of the engines rotates between rounds."""
    batch = records(case, case.count, device)
    names = list(steps)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            times[name].append(seconds(steps[name], batch, rows[name], device, clock))
    return times


def peak_memory(name: str, engine: str, rows: int, device: str, threads: int) -> int:
    """Peak memory of a step in bytes, beyond the memory in use before it, measured in a new process."""
    return in_new_process(_peak_memory, name, engine, rows, device, threads)


def peak_of(function: Callable[..., object], *arguments: object) -> tuple[int, float]:
    """(peak CPU memory of a call in bytes, beyond the memory in use before it, seconds), measured in a new process."""
    return in_new_process(_peak_of, function, arguments)


def in_new_process(function: Callable[..., T], *arguments: object) -> T:
    """The result of the function, called in a new process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["perf._measure"])
    with context.Pool(1) as pool:
        return pool.apply(function, arguments)


def _peak_of(function: Callable[..., object], arguments: tuple[object, ...]) -> tuple[int, float]:
    _trim()
    before, start = _reset_peak(), time.perf_counter()
    function(*arguments)
    return _peak() - before, time.perf_counter() - start


def _peak_memory(name: str, engine: str, rows: int, device: str, threads: int) -> int:
    torch.set_num_threads(threads)
    case = {**CASES, **LARGE}[name]
    step = make_step(engine, case, device)
    return peak_of_step(step, case, rows, device)


def peak_of_step(step: Step, case: Case, rows: int, device: str) -> int:
    """Like `peak_memory`, in this process. On a CPU, reuse of previously freed memory may lower the result."""
    step(records(case, 1, device), case.views)  # warm-up on one record
    batch = records(case, min(case.count, MEMORY_PARTS * rows // case.views), device)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        kept = step(batch, rows)
        torch.cuda.synchronize()
        del kept
        return torch.cuda.max_memory_allocated() - before
    _trim()
    before = _reset_peak()
    kept = step(batch, rows)
    peak = _peak()
    del kept
    return peak - before


def _trim() -> None:
    """Returns freed memory to the system if the C library supports it, so that it does not count as in use."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _reset_peak() -> int:
    """Resets the peak and returns the current memory in bytes; without permission, returns the peak of the process."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="utf-8") as file:
            file.write("5")
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    try:
        return _status("VmHWM")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))
