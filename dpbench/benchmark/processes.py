"""The processes that torchrun started for one command; without torchrun there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from dpbench.core.errors import DpbenchError
from dpbench.privacy.world import World
from dpbench.training.device import resolve_device

T = TypeVar("T")

ALL_REDUCE_TIMEOUT = timedelta(hours=1)
"""The timeout for the other processes within a private step or release."""

BARRIER_TIMEOUT = timedelta(days=7)
"""The timeout between phases, while only rank zero pretrains, samples and scores."""


@dataclass(frozen=True)
class Processes:
    """The processes of one command, seen from one of them. Only rank zero writes, scores and prints.

    Attributes:
        device: the device of this process.
        world: rank of this process, and number of processes.
        group: process group on the CPU, for barriers and broadcasts; None for one process.
    """

    device: str
    world: World = World()  # noqa: RUF009 (immutable)
    group: Any = None

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process writes, scores and prints."""
        return self.world.leads

    def barrier(self) -> None:
        """Waits for all processes."""
        if self.group is not None:
            dist.barrier(self.group)

    def broadcast(self, value: T) -> T:
        """Rank zero's value (anything that can be pickled), on every process."""
        values = [value]
        if self.group is not None:
            dist.broadcast_object_list(values, src=0, group=self.group)
        return values[0]

    @contextmanager
    def rank_zero_first(self) -> Iterator[None]:
        """Rank zero runs the block before the others, so that they find its results in a cache."""
        if not self.is_rank_zero:
            self.barrier()
        yield
        if self.is_rank_zero:
            self.barrier()


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """Joins the processes that torchrun started; without torchrun there is one.

    When a process fails, the others stop waiting for it: on CPUs at once, on GPUs when torchrun stops them or after
    `ALL_REDUCE_TIMEOUT`.

    Args:
        device: as for `resolve_device`; with several processes, "cuda" is each process's own GPU.

    Raises:
        DpbenchError: the device is absent, or several processes cannot share it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(resolve_device(device))
        return
    device = _own_device(device)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=ALL_REDUCE_TIMEOUT)
    try:
        yield Processes(device, World.current(), dist.new_group(backend="gloo", timeout=BARRIER_TIMEOUT))
    finally:
        dist.destroy_process_group()


def _own_device(name: str) -> str:
    device = resolve_device(name)
    if device == "cuda":
        return resolve_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    if device != "cpu":
        raise DpbenchError(f"several processes cannot share device '{device}'; choose cuda (a GPU for each) or cpu")
    return device
