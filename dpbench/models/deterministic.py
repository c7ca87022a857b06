"""cuDNN's deterministic algorithms, for results that can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic() -> Iterator[None]:
    """Selects cuDNN's deterministic algorithms inside the `with` block; restores the settings at the end.

    `torch.backends.cudnn.flags` would also read the older TF32 setting, which torch since 2.9 refuses beside the newer
    ones.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.enabled, cudnn.benchmark, cudnn.deterministic
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = True, False, True
    try:
        yield
    finally:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = before
