"""A task on a machine of a cluster: the resources that it requests, and how it runs there."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from dpbench.benchmark.launchers.progress_events import Send, SentDisplay
from dpbench.benchmark.launchers.worker_process import Worker, WorkerLost
from dpbench.benchmark.launching import ending
from dpbench.benchmark.trials.trial_task import TrialTask

LINGER = 120.0
"""Seconds after which a task whose worker was lost runs again on the same machine.

A scheduler that ends a job ends all of its processes, but not at once: no outcome may be reported before that.
"""


def run_here(content: Mapping[str, Any], send: Send) -> dict[str, Any]:
    """Runs a task in its own worker on this machine; a lost task may run again, and continues.

    Args:
        content: the content of the task; see `TrialTask.as_json`.
        send: sends progress to the machine of the command.

    Returns:
        the values that `launching.outcome_of` reads.
    """
    task = TrialTask.from_json(content)
    send({"what": "begin", "line": f"{task.name} on {socket.gethostname()}"})
    worker = Worker(task.request, SentDisplay(send), {})
    try:
        _, error, acted = worker.run(task)
        if isinstance(error, WorkerLost):
            time.sleep(LINGER)
            _, error, acted = worker.run(task)
    finally:
        worker.stop()
        worker.wait()
    return ending(error, acted)


def folders() -> dict[str, str]:
    """The environment variables for the folders of data, caches and records, which are the same on all machines."""
    return {name: value for name, value in os.environ.items() if name.startswith("DPBENCH_")}


def job_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `--job`, with numbers, true and false converted from text."""
    return {name: _value(value) for name, value in given.items()}


def _value(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
