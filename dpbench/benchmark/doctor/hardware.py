"""Cores, GPUs and memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from dpbench.benchmark.doctor.machine_check import Check
from dpbench.core.counted import sized
from dpbench.training.device import describe_device, resolve_device, resolve_precision, usable_cores

TOPIC = "hardware"

ENOUGH = 2 * 2**30
"""Bytes of memory for a run of the presets `small`, whose processes take up to 1.9 GiB (results/reference)."""

LIMIT = Path("/sys/fs/cgroup/memory.max")
"""The memory that a container may use, on Linux."""

MEMORY = Path("/proc/meminfo")


def devices() -> Iterator[Check]:
    """The CPU, every GPU, and what `--device auto` and `--precision auto` are."""
    yield Check(TOPIC, "CPU", "ok", f"{usable_cores()} cores, {torch.get_num_threads()} threads of torch")
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        yield Check(TOPIC, f"cuda:{number}", "ok", f"{name}, {sized(free)} of {sized(total)} free")
    if not torch.cuda.is_available() and has_nvidia_driver():
        found = f"an NVIDIA driver is installed, but torch {torch.__version__} finds no GPU"
        yield Check(TOPIC, "cuda", "problem", found, "install a torch for your driver: https://pytorch.org/get-started")
    device = resolve_device("auto")
    precision = resolve_precision("auto", device)
    advice = "" if device != "cpu" else "the presets gpu and paper are made for GPUs"
    yield Check(TOPIC, "runs use", "ok", f"{describe_device(device)} in {precision}", advice)


def has_nvidia_driver() -> bool:
    """Whether the machine seems to have an NVIDIA GPU."""
    return shutil.which("nvidia-smi") is not None


def memory() -> Check:
    """Main memory that a run can use."""
    total, free = total_memory(), free_memory()
    if total is None or free is None:
        return Check(TOPIC, "memory", "ok", "not reported by this system")
    found = f"{sized(free)} of {sized(total)} free"
    if free < ENOUGH:
        advice = f"a run of the preset small takes about {sized(ENOUGH)}: close other programs first"
        return Check(TOPIC, "memory", "problem", found, advice)
    return Check(TOPIC, "memory", "ok", found)


def total_memory() -> int | None:
    """Bytes of memory that the processes of this machine or container may use; None if the system does not say."""
    if not hasattr(os, "sysconf"):  # Windows
        return None
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = LIMIT.read_text(encoding="ascii").strip() if LIMIT.is_file() else ""
    return min(physical, int(limit)) if limit.isdecimal() else physical


def free_memory() -> int | None:
    """Bytes of memory available to a new process, as estimated by Linux; on other systems all memory."""
    total = total_memory()
    for line in MEMORY.read_text(encoding="ascii").splitlines() if MEMORY.is_file() else ():
        if total is not None and line.startswith("MemAvailable:"):
            return min(total, int(line.split()[1]) * 2**10)
    return total
