"""Device and precision of a trial."""

from __future__ import annotations

import os
import re

import torch

from dpbench.core.context import Precision
from dpbench.core.counted import counted
from dpbench.core.errors import DpbenchError, UnknownName


def resolve_device(name: str) -> str:
    """The name of an available torch device.

    Args:
        name: "auto" (CUDA if it is available, else the CPU), "cuda", "cuda:1" or "cpu". Apple's GPUs ("mps") have no
            fp64, which norms and noise need.

    Raises:
        DpbenchError: the name is invalid, or this machine has no such device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "mps":
        raise DpbenchError("device 'mps' has no fp64, which private queries need; use --device cpu")
    if not (found := re.fullmatch(r"(cpu|cuda)(?::(\d+))?", name)):
        raise DpbenchError(f"unknown device '{name}'; known: auto, cpu, cuda, cuda:NUMBER")
    kind, number = found[1], int(found[2] or 0)
    count = {"cuda": torch.cuda.device_count(), "cpu": 1}[kind]
    if number >= count:
        raise DpbenchError(f"device '{name}' is not available: this machine has {counted(count, f'{kind} device')}")
    return name


def resolve_precision(name: str, device: str) -> Precision:
    """The compute precision on a device.

    Args:
        name: "auto" (bf16 on CUDA devices with hardware support, fp32 elsewhere), "fp32" or "bf16".
        device: a name from `resolve_device`.

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
    """The device name shown in result rows, e.g. "cpu" or "cuda (NVIDIA H100)"."""
    return f"{name} ({torch.cuda.get_device_name(name)})" if name.startswith("cuda") else name


def usable_cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
