"""Processes that work on one trial together, started by torchrun's launcher."""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Sequence


def torchrun(processes: int, arguments: Sequence[str]) -> int:
    """Runs `dpbench ARGUMENTS` in several processes on this machine, and waits for them.

    A process that fails ends the others.

    Returns:
        the exit code: 0, or that of the first process that failed; -9 if it was killed (SIGKILL).
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # processes report their own errors
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id=uuid.uuid4().hex, rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", max_restarts=0, monitor_interval=0.1,
    )  # fmt: skip
    try:
        elastic_launch(config, sys.executable)("-m", "dpbench", *arguments)
    except ChildFailedError as error:
        return error.get_first_failure()[1].exitcode
    except SignalException as stop:
        return 128 + stop.sigval
    return 0
