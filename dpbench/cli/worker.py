"""`dpbench worker`: the process that a launcher starts; users start `dpbench run --launcher ...`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer


def worker(request: Annotated[str, typer.Argument(help="The request, as JSON.")]) -> None:
    """Run the trials that a launcher names on standard input, and report events to it on standard output."""
    import json

    from dpbench.benchmark.experiment import requests_of

    (asked,) = requests_of(json.loads(request), {}, "the worker's request")
    if asked.gpus > 1 and "WORLD_SIZE" not in os.environ:
        from dpbench.benchmark.launchers.torchrun import torchrun

        raise typer.Exit(_as_exit_code(torchrun(asked.gpus, ["worker", request])))
    from dpbench.benchmark.launchers.worker_loop import work

    asked.load_plugins()
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # plugins' own output is not an event
    raise typer.Exit(work(asked, sys.stdin.fileno(), events))


def _as_exit_code(code: int) -> int:
    """An exit code as in shells: 128 plus the number of the signal that killed a process."""
    return code if code >= 0 else 128 - code
