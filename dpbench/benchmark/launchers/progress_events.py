"""Progress that one process sends to another, as JSON-like events: {"what": "say", "line": ...}."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from dpbench.core.progress import Advance, Display

EVERY = 0.2
"""Seconds between two events of an advancing phase."""

Send = Callable[[dict[str, Any]], object]


class SentDisplay:
    """A display that another process shows.

    Args:
        send: sends an event to the other process.
    """

    def __init__(self, send: Send):
        self._send = send
        self._numbers = itertools.count()

    def say(self, line: str) -> None:
        """Shows one line."""
        self._send({"what": "say", "line": line})

    def overview(self, line: Callable[[], str]) -> AbstractContextManager[object]:
        """Shows nothing: the other process has its own overview."""
        return nullcontext()

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Opens a phase."""
        number, waiting, told, last_note = next(self._numbers), 0, time.monotonic(), ""
        self._send({"what": "open", "number": number, "name": name, "total": total})

        def tell() -> None:
            nonlocal waiting, told
            self._send({"what": "advance", "number": number, "steps": waiting, "note": last_note})
            waiting, told = 0, time.monotonic()

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal waiting, last_note
            waiting, last_note = waiting + steps, note or last_note
            if time.monotonic() - told >= EVERY:
                tell()

        is_over = False
        try:
            yield advance
            tell()
            is_over = True
        finally:
            self._send({"what": "close", "number": number, "is_over": is_over})


class ShownEvents:
    """Shows the events that a `SentDisplay` sends.

    Args:
        display: where they show.
        prefix: text before each line.
    """

    def __init__(self, display: Display, prefix: str = ""):
        self._display, self._prefix = display, prefix
        self._phases: dict[int, tuple[ExitStack, Advance]] = {}

    def show(self, event: dict[str, Any]) -> None:
        """Shows one event."""
        values = dict(event)
        getattr(self, f"_{values.pop('what')}")(**values)

    def end(self) -> None:
        """Closes open phases, after a sender that was killed."""
        for number in list(self._phases):
            self._close(number, is_over=False)

    def _begin(self, line: str) -> None:
        """A sender starts, possibly replacing a lost one."""
        self.end()
        self._say(line)

    def _say(self, line: str) -> None:
        self._display.say(f"  {self._prefix}{line.strip()}")

    def _open(self, number: int, name: str, total: int) -> None:
        stack = ExitStack()
        self._phases[number] = stack, stack.enter_context(self._display.phase(f"{self._prefix}{name}", total))

    def _advance(self, number: int, steps: int, note: str) -> None:
        self._phases[number][1](steps, note)

    def _close(self, number: int, is_over: bool) -> None:
        phase, _ = self._phases.pop(number)
        broken = None if is_over else InterruptedError()  # a display reports no duration for such a phase
        phase.__exit__(type(broken) if broken else None, broken, None)
