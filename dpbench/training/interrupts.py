"""Interruptions that wait for the end of a step, so that the state can be stored before the program ends."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Holds back Ctrl-C and SIGTERM while it is open; a second signal takes effect at once.

    A context manager. Python delivers signals to the main thread; in other threads, it does nothing.
    """

    def __init__(self) -> None:
        self._usual: dict[int, Any] = {}
        self._held: int | None = None
        self._process = os.getpid()

    def __enter__(self) -> Interrupts:
        self._hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()
        if self._held is not None:
            self.deliver()

    @property
    def waiting(self) -> bool:
        """Whether a signal is held back."""
        return self._held is not None

    def deliver(self) -> None:
        """Raises the signal that was held back, which normally ends the program."""
        number, self._held = self._held, None
        assert number is not None
        is_open = bool(self._usual)
        self._let_go()
        signal.raise_signal(number)
        if is_open:
            self._hold()

    def _note(self, number: int, frame: FrameType | None) -> None:
        at_once = self.waiting or os.getpid() != self._process  # a forked worker has no loop that would deliver it
        self._held = number
        if at_once:
            self.deliver()

    def _hold(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._usual[number] = signal.signal(number, self._note)

    def _let_go(self) -> None:
        while self._usual:
            signal.signal(*self._usual.popitem())
