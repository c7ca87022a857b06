"""Progress reports of long work: phases with a number of steps. The command line shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Protocol, TypeVar

T = TypeVar("T")


class Advance(Protocol):
    """Advances a phase; `note` is shown after its bar, and numbers in it reach loggers: "ε 0.83 of 1 · loss 0.12"."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Advances the phase by `steps`."""


class Progress(Protocol):
    """Anything that shows progress."""

    def phase(self, name: str, total: int) -> AbstractContextManager[Advance]:
        """Opens a phase of `total` steps called `name`."""
        ...


class Display(Progress, Protocol):
    """Progress bars and lines of text."""

    def say(self, line: str) -> None:
        """Shows one line."""
        ...

    def overview(self, line: Callable[[], str]) -> AbstractContextManager[object]:
        """Keeps a line above all phases; `line` is called whenever it is shown."""
        ...


class Silent:
    """Progress that is not shown."""

    def phase(self, name: str, total: int) -> AbstractContextManager[Advance]:
        """Opens a phase that is not shown."""
        return nullcontext(lambda steps=1, note="": None)


class Quiet(Silent):
    """A display that shows nothing: the default from Python and in tests."""

    def say(self, line: str) -> None:
        """Shows nothing."""

    def overview(self, line: Callable[[], str]) -> AbstractContextManager[object]:
        """Shows nothing."""
        return nullcontext()


def track(progress: Progress, items: Iterable[T], name: str, total: int) -> Iterator[T]:
    """Yields `items`, advancing a phase by one step for each."""
    with progress.phase(name, total) as advance:
        for item in items:
            yield item
            advance()


def track_long(
    progress: Progress, items: Iterable[T], name: str, total: int, each: int, patience: float
) -> Iterator[T]:
    """Yields `items`, advancing a phase by `each` steps for each; a phase that is over soon is never shown.

    Args:
        progress: where it is shown.
        items: of the phase; the last one may stand for fewer steps.
        name: of the phase.
        total: steps of the phase.
        each: steps per item.
        patience: seconds after which the phase is shown.
    """
    start, shown = time.perf_counter(), 0
    with ExitStack() as stack:
        advance: Advance | None = None
        for number, item in enumerate(items, start=1):
            yield item
            if advance is None and time.perf_counter() - start > patience:
                advance = stack.enter_context(progress.phase(name, total))
            if advance is not None:
                done = min(number * each, total)
                advance(done - shown)
                shown = done
