"""The rank of this process among those that torchrun started. Needs no torch."""

from __future__ import annotations

import os


def is_rank_zero() -> bool:
    """Whether this process has rank 0 or is the only one, according to the RANK variable that torchrun sets.

    Known before the processes have joined a process group.
    """
    return int(os.environ.get("RANK", "0")) == 0
