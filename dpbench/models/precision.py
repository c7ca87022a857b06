"""Full fp32 arithmetic, whatever the calling program allows: for norms, sums and results that are compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

REDUCED = ("tf32", "bf16")


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Disables autocast, and TF32 and bf16 inside fp32 operations, on CPU and GPU; restores the settings at the end."""
    with ExitStack() as stack:
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
            for setting in _settings():
                if setting.fp32_precision in REDUCED:
                    stack.enter_context(_ieee(setting))
        elif torch.get_float32_matmul_precision() != "highest" or torch.backends.cudnn.allow_tf32:
            stack.enter_context(_highest())
        yield


def _settings() -> list[Any]:
    """The settings of torch since 2.9, which forbids mixing them with the older ones."""
    cuda, cudnn, cpu = torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn
    return [cuda.matmul, cudnn.conv, cpu.matmul, cpu.conv]  # type: ignore[attr-defined]


@contextmanager
def _ieee(setting: Any) -> Iterator[None]:
    before, setting.fp32_precision = setting.fp32_precision, "ieee"
    try:
        yield
    finally:
        setting.fp32_precision = before


@contextmanager
def _highest() -> Iterator[None]:
    """The same in torch before 2.9: matrix products on CPU and GPU, and cuDNN."""
    before, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn
    torch.set_float32_matmul_precision("highest")
    try:
        with cudnn.flags(cudnn.enabled, cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
