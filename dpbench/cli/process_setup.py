"""What the `dpbench` command sets for its own process: how threads wait, what happens to freed memory, how it ends."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os

SPIN = "GOMP_SPINCOUNT"  # spins of a waiting GNU OpenMP thread before it sleeps; 300,000 by default

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h


def wait_briefly() -> None:
    """Lets torch's threads sleep soon while they wait for each other, unless the environment sets how they wait.

    By default, waiting threads keep their cores busy for so long that every step is many times slower if other programs
    need the same cores (see docs/performance.md). OpenMP reads the environment once: call this before importing torch.
    """
    if not {"OMP_WAIT_POLICY", SPIN} & os.environ.keys():
        os.environ[SPIN] = "10000"


def keep_freed_memory() -> None:
    """Lets glibc keep freed memory for the next tensors, unless the environment sets its allocator.

    By default, glibc returns large blocks to the system at once, and the system clears every page of the next block.
    This takes a quarter of the time of a private step of a small network. Peak memory stays the same. Does nothing
    without glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None and not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        mallopt(MMAP_THRESHOLD, 2**30)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)


def end_quickly() -> None:
    """Lets the process end without a last search for unreachable objects; the system frees all memory anyway.

    Once torch is imported, that search takes a third of a second.
    """
    atexit.register(gc.freeze)
