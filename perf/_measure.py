"""Seconds and bytes of the steps in `_engines.py`, and bytes of any call."""

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

MEMORY_PARTS = 3
"""Micro-batches in a measurement of memory: later ones need no more."""


def records(case: Case, count: int, device: str) -> Batch:
    """The first `count` of a step's records."""
    torch.manual_seed(0)
    return case.records(case.count).map(lambda t: t[:count].to(device))


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds(step: Step, batch: Batch, rows: int, device: str) -> float:
    synchronize(device)
    start = time.perf_counter()
    step(batch, rows)
    synchronize(device)
    return time.perf_counter() - start


def best_micro_batch(step: Step, case: Case, device: str) -> int:
    """The candidate that is fastest on `case.probe` rows; none after one that is clearly slower or does not fit."""
    batch = records(case, case.probe // case.views, device)
    best, least = 0, math.inf
    for rows in case.candidates:
        try:
            seconds(step, records(case, rows // case.views, device), rows, device)  # warms up
            took = min(seconds(step, batch, rows, device) for _ in range(2))
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
    steps: dict[str, Step], rows: dict[str, int], case: Case, rounds: int, device: str
) -> dict[str, list[float]]:
    """Seconds per step of every engine, one after the other in each round, each round starting with another one."""
    batch = records(case, case.count, device)
    names = list(steps)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            times[name].append(seconds(steps[name], batch, rows[name], device))
    return times


def peak_memory(name: str, engine: str, rows: int, device: str, threads: int) -> int:
    """Bytes that a step needs beyond what the process held before it, measured in a process of its own."""
    return apart(_peak_memory, name, engine, rows, device, threads)


def peak_of(function: Callable[..., object], *arguments: object) -> tuple[int, float]:
    """(bytes that a call needs beyond what its process held before, seconds), in a process of its own; CPU."""
    return apart(_peak_of, function, arguments)


def apart(function: Callable[..., T], *arguments: object) -> T:
    """What the function returns in a process of its own."""
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
    """The same in this process: as exact on a GPU; on a CPU, memory that was freed before may hide some of it."""
    step(records(case, 1, device), case.views)  # loads code and sets up libraries, on one record
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
    """Gives the system back what the warm-up freed, where the C library can: it would count as held before."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _reset_peak() -> int:
    """Bytes in memory now; the peak starts here where Linux permits, and otherwise is that of the process's life."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
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
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))
