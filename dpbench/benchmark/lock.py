"""One process at a time works on a trial: two would release two models where one is counted."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dpbench.benchmark.provenance import now
from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_text
from dpbench.core.progress import Display

LOCK, HOLDER = ".lock", ".holder"


@contextmanager
def locked(folder: Path, display: Display) -> Iterator[None]:
    """Holds the operating system's lock on a trial's folder; waits for it where another process has it, and says who.

    The lock goes with its process, however that ends. What is finished has to be looked up again under it.

    Raises:
        DpbenchError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            display.say(f"  {_holder(folder)} works on this trial; waiting until it ends (Ctrl-C to give up)")
            lock.acquire()
    except (OSError, NotImplementedError) as error:  # the second where a file system has no locks
        raise DpbenchError(f"cannot lock {folder}: {error}") from error
    try:
        write_text(folder / HOLDER, f"process {os.getpid()} on {socket.gethostname()}, since {now()}")
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        return (folder / HOLDER).read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"
