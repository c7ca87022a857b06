"""Progress reports of long work: phases with a number of steps. The command line shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

T = TypeVar("T")


class Advance(Protocol):
    """Advances a phase; `note` (e.g. "ε 0.83") is shown after its bar."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Advances the phase by `steps`."""


class Progress(Protocol):
    """A place to show progress."""

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
