"""Which device a trial runs on, in which precision, and how much of its memory was used."""

from __future__ import annotations

import re
import sys

import torch

from dpbench.core.context import Precision
from dpbench.core.errors import DpbenchError, UnknownName


def resolve_device(name: str) -> str:
    """A torch device name that exists here.

    Args:
        name: "auto" (the first of CUDA, Apple's GPU and the CPU that is there), "cuda", "cuda:1", "mps" or "cpu".

    Raises:
        DpbenchError: there is no such device, or this machine has none.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if not (found := re.fullmatch(r"(cpu|mps|cuda)(?::(\d+))?", name)):
        raise DpbenchError(f"unknown device '{name}'; known: auto, cpu, cuda, cuda:NUMBER, mps")
    kind, number = found[1], int(found[2] or 0)
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}[kind]
    if number >= count:
        raise DpbenchError(
            f"device '{name}' is absent: this machine has {count or 'no'} {kind} device{'s'[: count > 1]}"
        )
    return name


def resolve_precision(name: str, device: str) -> Precision:
    """What models compute in on a device.

    Args:
        name: "auto" (bf16 on CUDA devices that have it in hardware, fp32 elsewhere), "fp32" or "bf16".
        device: as `resolve_device` gives it.

    Raises:
        UnknownName: there is no such precision.
    """
    if name == "auto":
        has_bf16 = device.startswith("cuda") and torch.cuda.get_device_capability(device) >= (8, 0)
        return "bf16" if has_bf16 else "fp32"
    if name not in ("fp32", "bf16"):
        raise UnknownName("precision", name, ("auto", "fp32", "bf16"))
    return "fp32" if name == "fp32" else "bf16"


def describe_device(name: str) -> str:
    """How the row calls it: "cpu", "cuda (NVIDIA H100)"."""
    return f"{name} ({torch.cuda.get_device_name(name)})" if name.startswith("cuda") else name


def reset_peak_memory(device: str) -> None:
    """Starts measuring anew, where the device can."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(device: str) -> float | None:
    """Peak memory in MiB: of a GPU since `reset_peak_memory`, otherwise of the whole process so far."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
