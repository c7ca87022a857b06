"""How many rows one call of a network should take: what memory holds on a GPU, what the cache holds on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

GPU_SHARE = 0.5
"""Share of a GPU's free memory that one call may fill; the rest is for optimiser, averages and fragmentation."""

CACHES = 3
"""How many times the last-level cache one call may fill: layers work one after another (measured on three networks)."""

USUAL_CACHE = 32 * 2**20
"""Bytes of last-level cache where the machine does not say."""

MOST_ROWS = 4096


def rows_that_fit(bytes_per_row: float, device: str) -> int:
    """The power of two of rows, at most `MOST_ROWS`, that stays within memory or cache.

    A power of two, so that small differences in a measured footprint give the same rows and with them the same draws.

    Args:
        bytes_per_row: what one row occupies while a network works on it.
        device: torch device name.
    """
    rows = max(1, min(MOST_ROWS, int(_bytes_for_one_call(device) / max(1.0, bytes_per_row))))
    return 1 << (rows.bit_length() - 1)


def _bytes_for_one_call(device: str) -> float:
    if device.startswith("cuda"):
        import torch

        return GPU_SHARE * torch.cuda.mem_get_info(device)[0]
    return CACHES * _last_level_cache()


@cache
def _last_level_cache() -> int:
    """Bytes of the largest cache of this machine's first core, where Linux tells."""
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    units = {"K": 2**10, "M": 2**20}
    found = [int(size[:-1]) * units[size[-1]] for size in sizes if size[-1:] in units]
    return max(found, default=USUAL_CACHE)


def saved_bytes(compute: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps from `compute()` for the backward pass, weights not counted."""
    import torch

    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        owner = tensor if tensor._base is None else tensor._base
        if not isinstance(owner, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = compute()  # noqa: F841 (alive, so that no storage is used twice while they are counted)
    return sum(kept.values())
