"""Progress as lines of text, for logs, pipes and CI."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Advance, Progress

EVERY = 30.0
"""Seconds without a line after which a running phase reports its progress."""


@dataclass
class _Running:
    """A running phase."""

    name: str
    total: int
    done: int = 0
    note: str = ""

    @property
    def parts(self) -> list[str]:
        return [f"{self.name}: {self.done} of {self.total}", self.note]


class ProgressLines:
    """One line per finished phase, and one every half minute during long work, whether it advances or not.

    Args:
        write: shows a line.
    """

    def __init__(self, write: Callable[[str], object]):
        self._write = write
        self._last = time.monotonic()
        self._running: list[_Running] = []
        self._overview: Callable[[], str] = str

    def say(self, line: str) -> None:
        """Shows a line, after which phases are silent for a while."""
        self._write(line)
        self._last = time.monotonic()

    @contextmanager
    def overview(self, line: Callable[[], str]) -> Iterator[None]:
        """Adds the line to those of running phases, and shows it where no phase runs."""
        self._overview = line
        try:
            with self._watched():
                yield
        finally:
            self._overview = str

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Shows the phase's duration and its last note when it ends."""
        start, running = time.perf_counter(), _Running(name, total)

        def advance(steps: int = 1, note: str = "") -> None:
            running.done, running.note = running.done + steps, note or running.note
            self._speak(running)

        self._running.append(running)
        try:
            with self._watched(running):
                yield advance
        finally:
            self._running.remove(running)
        note = f", {running.note}" if running.note else ""
        self.say(f"  {name}: {total} in {time.perf_counter() - start:.1f} s{note}")

    def _speak(self, running: _Running | None) -> None:
        """Reports the progress of a phase, or of work outside any phase, if there was no line for `EVERY` seconds."""
        if time.monotonic() - self._last >= EVERY:
            parts = [*(running.parts if running else ()), self._overview()]
            self.say(f"  {' · '.join(filter(None, parts))}")

    @contextmanager
    def _watched(self, running: _Running | None = None) -> Iterator[None]:
        """Reports on work that does not advance, as long as no phase within it runs."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(EVERY / 3):
                if (self._running[-1] if self._running else None) is running:
                    with suppress(DpbenchError):  # a log that cannot be written: the work itself will fail, too
                        self._speak(running)

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            ended.set()
            watching.join()


class Together:
    """Progress shown in several places.

    Args:
        places: each shows every phase.
    """

    def __init__(self, *places: Progress):
        self._places = places

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Opens the phase everywhere."""
        with ExitStack() as stack:
            opened = [stack.enter_context(place.phase(name, total)) for place in self._places]

            def advance(steps: int = 1, note: str = "") -> None:
                for one in opened:
                    one(steps, note)

            yield advance
