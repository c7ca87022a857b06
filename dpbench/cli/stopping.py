"""How a command ends when Ctrl-C or SIGTERM stops it: its message and its exit code."""

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
    """SIGTERM, from a batch system at its time limit or from a shutdown. It ends a command as Ctrl-C does."""


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """While the block runs, SIGTERM raises `Terminated` instead of ending the process silently."""
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
    """Prints on one line what stopped the command, and its notes on how to continue.

    Returns:
        the exit code: 128 plus the number of the signal, as in shells.
    """
    name, number = ("SIGTERM", signal.SIGTERM) if isinstance(stop, Terminated) else ("Ctrl-C", signal.SIGINT)
    if is_rank_zero():
        print("; ".join([f"stopped by {name}", *getattr(stop, "__notes__", [])]), file=sys.stderr)
    return 128 + number
