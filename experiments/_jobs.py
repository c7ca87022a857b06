"""Parallel commands, each a process with one thread. Two such processes are faster than one with two threads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple


class Job(NamedTuple):
    """A command and the prefix of its output lines."""

    name: str
    command: Sequence[str]


def run_jobs(jobs: Sequence[Job], parallel: int, say: Callable[[str], object] = print) -> list[str]:
    """Runs commands, at most `parallel` at a time, and forwards their standard error. A failure does not stop the rest.

    Args:
        jobs: the commands.
        parallel: maximum number of processes.
        say: called with each output line, prefixed by the name of the job.

    Returns:
        the names of the failed jobs.
    """

    def succeeds(job: Job) -> bool:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        with subprocess.Popen(job.command, env=environment, text=True, encoding="utf-8", **pipes) as process:
            for line in process.stderr:
                say(f"{job.name}: {line.rstrip()}")
        return process.returncode == 0

    with ThreadPoolExecutor(parallel) as pool:
        succeeded = list(pool.map(succeeds, jobs))
    return [job.name for job, well in zip(jobs, succeeded, strict=True) if not well]
