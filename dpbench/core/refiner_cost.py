"""The cost of a refiner: time and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.peak_memory import peak_memory_mb

if TYPE_CHECKING:
    from dpbench.core.cache import PublicCache


@dataclass
class RefinerCost:
    """The cost of a refiner so far.

    Attributes:
        seconds_prepare: seconds of `prepare`; for weights from the cache, those that it took to make them.
        images: number of images refined.
        seconds: seconds that their refinement took.
        memory_mb: increase of the peak memory by refinement, in MiB: that of the device, or on a CPU of the process. 0
            if an earlier phase needed more, None if the system does not report it.
    """

    seconds_prepare: float = 0.0
    images: int = 0
    seconds: float = 0.0
    memory_mb: float | None = 0.0

    @property
    def seconds_per_image(self) -> float | None:
        """Seconds per refined image; None before the first."""
        return self.seconds / self.images if self.images else None

    @contextmanager
    def preparing(self, cache: PublicCache) -> Iterator[None]:
        """Measures `prepare`, which may load its weights from `cache`."""
        start, saved = time.perf_counter(), cache.seconds_saved
        yield
        self.seconds_prepare += time.perf_counter() - start + cache.seconds_saved - saved

    @contextmanager
    def refining(self, images: int, device: str) -> Iterator[None]:
        """Measures the refinement of a number of images on a torch device."""
        before, start = peak_memory_mb(device), _now(device)
        yield
        self.seconds += _now(device) - start
        self.images += images
        after = peak_memory_mb(device)
        if before is None or after is None or self.memory_mb is None:
            self.memory_mb = None
        else:
            self.memory_mb += after - before


def _now(device: str) -> float:
    """Seconds on a clock, after all work queued on the device."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)
    return time.perf_counter()
