"""A time profile of a step of the book-keeping engine."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile

from dpbench.privacy.gradients import bookkeeping, terms
from perf._engines import make_step
from perf._measure import records, seconds, synchronize
from perf._models import Case

PHASES: list[tuple[Any, str, str]] = [
    (torch.autograd, "grad", "backward"),
    (bookkeeping._Book, "write", "per-record terms"),
    *[(kind, "squared_norms", "norms") for kind in (terms.Dense, terms.Factored, terms.Lookup)],
    *[(kind, "weighted_sum", "sums") for kind in (terms.Dense, terms.Factored, terms.Lookup)],
]
"""(owner, function, name of the phase). Time in nested calls counts for the inner function."""


@contextmanager
def timed_phases(device: str) -> Iterator[dict[str, float]]:
    """Seconds per phase, updated while the functions of `PHASES` run."""
    spent: dict[str, float] = defaultdict(float)
    inner = [0.0]  # seconds in callees, per open call

    def timed(function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            synchronize(device)
            start = time.perf_counter()
            inner.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                synchronize(device)
                took = time.perf_counter() - start
                spent[phase] += took - inner.pop()
                inner[-1] += took

        return call

    with ExitStack() as stack:
        for owner, name, phase in PHASES:
            stack.enter_context(patch.object(owner, name, timed(getattr(owner, name), phase)))
        yield spent


def print_profile(case: Case, rows: int, device: str) -> None:
    """Prints the seconds per phase of one step and the slowest operations of another one."""
    step = make_step("book-keeping", case, device)
    batch = records(case, case.count, device)
    step(records(case, rows // case.views, device), rows)
    with timed_phases(device) as spent:
        total = seconds(step, batch, rows, device)
    spent["forward and the rest"] = total - sum(spent.values())
    print(f"book-keeping, {rows} rows at a time: {total:.3f} s per step")
    for phase, took in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"  {phase:<22}{took:8.3f} s {took / total:6.1%}")
    part = records(case, min(case.count, 4 * rows // case.views), device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.startswith("cuda") else [])]
    with profile(activities=activities) as profiler:
        step(part, rows)
    order = "self_device_time_total" if device.startswith("cuda") else "self_cpu_time_total"
    print(profiler.key_averages().table(sort_by=order, row_limit=15, max_name_column_width=45))
