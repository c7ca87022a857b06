"""Peak memory of a device or of the process."""

from __future__ import annotations

import sys


def peak_memory_mb(device: str) -> float | None:
    """Peak memory in MiB.

    On CUDA the peak of the device since `reset_peak_memory`, otherwise the peak of the process since its start; None
    where the system does not report it.
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def reset_peak_memory(device: str) -> None:
    """Resets the peak memory counter of a CUDA device; does nothing on other devices."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
