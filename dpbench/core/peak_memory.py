"""Peak memory of a device or of the process."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

PROCESS = Path("/proc/self")
"""What Linux tells of the process; other systems have no such folder."""


def peak_memory_mb(device: str) -> float | None:
    """Peak memory in MiB since `reset_peak_memory`: on CUDA of the device, otherwise of the process.

    Except on Linux, the peak of a process is that since its start; None where the system does not report it.
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError):
        for line in (PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def reset_peak_memory(device: str) -> None:
    """Resets the peak of a CUDA device, or on Linux of the process, to the memory in use.

    Freed memory that the C library keeps is returned to the system first, because it would count as in use.
    """
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    elif PROCESS.exists():
        gc.collect()
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)
        with suppress(OSError):  # not allowed in some containers
            (PROCESS / "clear_refs").write_text("5")
