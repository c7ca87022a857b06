"""The placement of the workers on a machine: the GPUs that each worker sees, and its number of threads."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from dpbench.benchmark.request import RunRequest
from dpbench.core.errors import DpbenchError
from dpbench.training.device import usable_cores

CORES = 4
"""CPU cores per worker, if neither the request nor the GPUs determine the number of workers."""

Place = dict[str, str]
"""The environment variables that determine where a worker computes."""


def places(request: RunRequest, device: str, tasks: int) -> list[Place]:
    """The place of each worker; there are at most as many workers as tasks.

    Each GPU belongs to one worker, or to as few as possible. Cores are divided by number only: a worker is not pinned
    to particular cores.

    Args:
        request: gives the number of workers, and the GPUs (or CPU processes) of each.
        device: the device that this process would use.
        tasks: number of tasks that can run in parallel.

    Raises:
        DpbenchError: the machine has fewer GPUs than a worker needs, or the device is one of several GPUs.
    """
    each, groups = request.gpus, []
    if device.startswith("cuda"):
        if ":" in device:
            raise DpbenchError(f"workers choose their GPUs themselves: --device cuda instead of {device}")
        groups = _groups(_visible_gpus(), each)
    default = len(groups) or max(1, usable_cores() // (CORES * each))
    count = min(tasks, request.workers or (1 if request.launcher == "none" else default))
    threads = {"OMP_NUM_THREADS": str(max(1, _threads() // (count * each)))}
    chosen = [{"CUDA_VISIBLE_DEVICES": groups[number % len(groups)]} if groups else {} for number in range(count)]
    return [threads | place for place in chosen]


def _threads() -> int:
    """The total number of threads of all workers."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() else usable_cores()


def _visible_gpus() -> list[str]:
    """The GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] or [str(number) for number in range(count)]


def _groups(gpus: Sequence[str], each: int) -> list[str]:
    """The GPUs of each worker; left-over GPUs are not used."""
    if each > len(gpus):
        raise DpbenchError(f"--gpus {each}, but this machine has {len(gpus)}; --device cpu uses processes instead")
    return [",".join(gpus[start : start + each]) for start in range(0, len(gpus) - each + 1, each)]
