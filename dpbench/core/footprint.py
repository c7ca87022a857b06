"""The number of rows per call of a network, limited by free memory on a GPU and by the cache on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

GPU_SHARE = 0.5
"""Share of a GPU's free memory for one call; the rest is for the optimizer, weight averages and fragmentation."""

CACHES = 3
"""Size of one call in multiples of the last-level cache; layers run one at a time (measured on three networks)."""

USUAL_CACHE = 32 * 2**20
"""Last-level cache size in bytes assumed if the operating system does not report it."""

MOST_ROWS = 4096


def rows_that_fit(bytes_per_row: float, device: str) -> int:
    """The largest number of rows, a power of two up to `MOST_ROWS`, that fits into memory or cache.

    It is a power of two so that small differences in a measured footprint give the same number, and therefore the same
    random draws.

    Args:
        bytes_per_row: memory of one row during a forward (and backward) pass.
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
    """Size in bytes of the largest cache of the first core, as Linux reports it."""
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    units = {"K": 2**10, "M": 2**20}
    found = [int(size[:-1]) * units[size[-1]] for size in sizes if size[-1:] in units]
    return max(found, default=USUAL_CACHE)


def saved_bytes(compute: Callable[[], Tensor]) -> int:
    """Bytes that autograd saves in `compute()` for the backward pass, without the weights."""
    import torch

    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        owner = tensor if tensor._base is None else tensor._base
        if not isinstance(owner, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = compute()  # noqa: F841 (kept alive, so that no storage is reused while they are counted)
    return sum(kept.values())
