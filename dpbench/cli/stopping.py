"""How a command ends that somebody stops, by Ctrl-C or SIGTERM: what it says, and its exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dpbench.core.rank import is_rank_zero


class Terminated(KeyboardInterrupt):
    """SIGTERM: a batch system whose time is up, or a shutdown. It ends a command as Ctrl-C does."""


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """While the block runs, SIGTERM raises `Terminated`, where it would end the process without a word."""
    usual = signal.getsignal(signal.SIGTERM)
    if usual is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def terminate(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)  # a forked worker, which has nothing to store
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


def report(stop: KeyboardInterrupt) -> int:
    """Says in one line what stopped the command, and what the command noted on how to go on.

    Returns:
        the exit code: 128 and the number of the signal, as shells have it.
    """
    name, number = ("SIGTERM", signal.SIGTERM) if isinstance(stop, Terminated) else ("Ctrl-C", signal.SIGINT)
    if is_rank_zero():
        print("; ".join([f"stopped by {name}", *getattr(stop, "__notes__", [])]), file=sys.stderr)
    return 128 + number
