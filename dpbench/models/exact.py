"""Plain fp32 evaluation, for networks whose results are compared with published values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dpbench.models.deterministic import deterministic
from dpbench.models.precision import full_precision


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Evaluates without gradients, in full fp32 and with cuDNN's deterministic algorithms, inside the `with` block."""
    with torch.no_grad(), full_precision(device), deterministic():
        yield
