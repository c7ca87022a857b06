"""The collectives of several processes, with the device's backend and one process: NCCL on a GPU, gloo on a CPU.

A process group of one shows that the backend starts and works beside the gloo group that dpbench uses for barriers. It
says nothing about the network between machines.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from dpbench.benchmark.processes import ALL_REDUCE_TIMEOUT, Processes
from dpbench.privacy.world import World
from perf._gpu_checks import Check, Setting, Value
from perf._gpu_throughput import seconds

NUMBERS, TINY_NUMBERS = 50_000_000, 1000
"""Size of the sums of a private step: one number per weight."""


def checks(setting: Setting) -> Iterator[Check]:
    """One check of the process group."""
    numbers = TINY_NUMBERS if setting.tiny else NUMBERS
    backend = "nccl" if setting.device.startswith("cuda") else "gloo"
    columns = ("sums kept", "objects kept", "all_reduce [ms]")
    yield Check(
        f"{backend}, 1 process, {numbers:,} numbers", columns, partial(_group, backend, numbers, setting.device)
    )


def _group(backend: str, numbers: int, device: str) -> Mapping[str, Value]:
    with tempfile.TemporaryDirectory() as folder:
        store = dist.FileStore(str(Path(folder, "store")), 1)
        dist.init_process_group(backend, store=store, rank=0, world_size=1, timeout=ALL_REDUCE_TIMEOUT)
        try:
            processes = Processes(device, World.current(), dist.new_group(backend="gloo"))
            sums = torch.randn(numbers, device=device)
            reduced = sums.clone()
            dist.all_reduce(reduced)
            said = processes.broadcast({"key": [1, 2]})
            processes.barrier()
            took = min(seconds(partial(dist.all_reduce, reduced), device) for _ in range(3))
            return {
                "sums kept": Value(None, torch.equal(reduced, sums)),
                "objects kept": Value(None, said == {"key": [1, 2]}),
                "all_reduce [ms]": Value(1000 * took),
            }
        finally:
            dist.destroy_process_group()
