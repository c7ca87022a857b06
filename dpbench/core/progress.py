"""How long work reports itself: a phase with a total, advanced step by step. The command line draws it with Rich."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

T = TypeVar("T")


class Advance(Protocol):
    """Moves a phase's bar on; `note` (e.g. "ε 0.83") is shown behind it."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Counts `steps` more."""


class Progress(Protocol):
    """Somewhere to show progress."""

    def phase(self, name: str, total: int) -> AbstractContextManager[Advance]:
        """Opens a bar of `total` steps called `name`."""
        ...


class Display(Progress, Protocol):
    """Progress bars, and lines between them."""

    def say(self, line: str) -> None:
        """Shows one line."""
        ...


class Silent:
    """Shows nothing: the default from Python and in tests."""

    def phase(self, name: str, total: int) -> AbstractContextManager[Advance]:
        """Opens a bar that nobody sees."""
        return nullcontext(lambda steps=1, note="": None)


class Quiet(Silent):
    """Shows neither bars nor lines."""

    def say(self, line: str) -> None:
        """Shows nothing."""


def track(progress: Progress, items: Iterable[T], name: str, total: int) -> Iterator[T]:
    """Yields `items` while a bar counts them."""
    with progress.phase(name, total) as advance:
        for item in items:
            yield item
            advance()
