"""What torch may compute fp32 operations in: the settings, and a program that allows TF32 everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

NEW = hasattr(torch.backends.cuda.matmul, "fp32_precision")
"""Whether torch has the settings that came with torch 2.9."""


def _parts() -> list[Any]:
    backends = torch.backends
    return [backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv]


def settings() -> list[str]:
    """The current settings of matrix products and convolutions."""
    if not NEW:
        return [torch.get_float32_matmul_precision(), str(torch.backends.cudnn.allow_tf32)]
    return [part.fp32_precision for part in _parts()]


@contextmanager
def tf32_everywhere() -> Iterator[None]:
    """A program that allows TF32 by the newest setting of its torch."""
    if not NEW:
        torch.set_float32_matmul_precision("high")
        yield
        torch.set_float32_matmul_precision("highest")
        return
    parts = [torch.backends, torch.backends.cudnn.rnn, *_parts()]
    before = [part.fp32_precision for part in parts]
    torch.backends.fp32_precision = "tf32"
    yield
    for part, setting in zip(parts, before, strict=True):
        part.fp32_precision = setting
