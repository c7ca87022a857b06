"""The progress of a command through its trials, and the time left, from finished trials and from the pace of steps."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from dpbench.core.progress import Advance

STAGES = {"prepare": "public training", "fit": "private training", "sample": "sampling", "evaluate": "scoring"}
"""The stages of a trial in order, and their displayed names."""

LITTLE = 5.0
"""Seconds below which no time is shown."""


class Work(NamedTuple):
    """The remaining work of a trial.

    Attributes:
        kind: trials of the same kind take about the same time in each of their stages.
        stages: a part of `STAGES`, in order; empty if the trial is finished.
    """

    kind: Hashable
    stages: tuple[str, ...]


class Expected(NamedTuple):
    """An estimated time.

    Attributes:
        seconds: the time of all stages that have an estimate.
        is_least: whether there are other stages.
    """

    seconds: float
    is_least: bool

    def __str__(self) -> str:
        if self.seconds < LITTLE:
            return "unknown" if self.is_least else "a few seconds"
        return f"{'more than' if self.is_least else 'about'} {rough(self.seconds)}"


class Timetable:
    """The trials of a command. Estimates come from trials of this command, or earlier ones.

    In a stage that no trial has finished, the pace of the steps tells the least time left.
    """

    def __init__(self) -> None:
        self._works: Sequence[Work] = ()
        self._titles: Sequence[str] = ()
        self._number = 0
        self._open: tuple[str, ...] = ()  # stages of the running trial that have not ended
        self._stage, self._since = "", 0.0
        self._paces: list[_Pace] = []
        self._seconds: dict[tuple[Hashable, str], list[float]] = defaultdict(list)

    def plan(self, works: Sequence[Work], titles: Sequence[str] = ()) -> None:
        """Sets the work to do and the title of each trial, before the first trial starts."""
        self._works, self._titles = works, titles

    def learn(self, kind: Hashable, seconds: Mapping[str, float]) -> None:
        """Notes how long the stages of an earlier trial of a kind took."""
        for stage, took in seconds.items():
            self._seconds[kind, stage].append(took)

    def begin(self, number: int) -> None:
        """Notes that a trial starts; its number counts from 1."""
        self._number, self._open, self._stage = number, self._works[number - 1].stages, ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures a stage of the running trial; the time of a failed stage is not used."""
        self._stage, self._since = name, time.monotonic()
        yield
        if self._number:
            self._seconds[self._works[self._number - 1].kind, name].append(time.monotonic() - self._since)
        self._open = tuple(stage for stage in self._open if stage != name)
        self._stage = ""

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Measures the pace of a phase within the running stage; see `Progress`."""
        pace = _Pace(total)
        self._paces.append(pace)
        try:
            yield pace.advance
        finally:
            self._paces.remove(pace)

    def left(self) -> str:
        """ "about 3 min left"; "more than 3 min left" if some stages have no estimate; "" for less than 5 seconds."""
        left = self._left()
        return f"{left} left" if left.seconds >= LITTLE else ""

    def expected(self, work: Work) -> Expected:
        """The estimated time of all stages of a work."""
        found = [self._expected(work.kind, stage) for stage in work.stages]
        return Expected(sum(seconds or 0.0 for seconds in found), None in found)

    def line(self) -> str:
        """ "trial 2 of 5 · private training · about 3 min left · next: wavelet ε=10 seed 0"."""
        time_left = self.left() or ("estimating the time left ..." if self._left().is_least else "")
        parts = [f"trial {self._number} of {len(self._works)}", STAGES.get(self._stage, ""), time_left, self._next()]
        return " · ".join(filter(None, parts))

    def _next(self) -> str:
        """The next trial with work to do."""
        coming = zip(self._titles[self._number :], self._works[self._number :], strict=False)
        return next((f"next: {title}" for title, work in coming if work.stages), "")

    def _left(self) -> Expected:
        """The estimated time of all stages that have not ended."""
        running = [self._works[self._number - 1]._replace(stages=self._open)] if self._number else []
        left = total(self.expected(work) for work in [*running, *self._works[self._number :]])
        return left._replace(seconds=left.seconds + self._ahead())

    def _ahead(self) -> float:
        """The change by the running stage: less what it has taken, or, if none has finished it, what its steps take."""
        if self._stage not in self._open:
            return 0.0
        expected = self._expected(self._works[self._number - 1].kind, self._stage)
        if expected is None:
            return max((pace.left() for pace in self._paces), default=0.0)
        return -min(expected, time.monotonic() - self._since)

    def _expected(self, kind: Hashable, stage: str) -> float | None:
        """The mean over trials of the same kind. Public training counts once: later trials load it from the cache."""
        found = self._seconds.get((kind, stage), [])
        if not found:
            return None
        usual = found[1:] or [0.0] if stage == "prepare" else found
        return sum(usual) / len(usual)


class _Pace:
    """The pace of a phase; what its first call reports is not measured, such as the steps before it was resumed."""

    def __init__(self, total: int):
        self._total = total
        self._done = self._before = 0
        self._since: float | None = None

    def advance(self, steps: int = 1, note: str = "") -> None:
        """See `Advance`."""
        self._done += steps
        if self._since is None:
            self._before, self._since = self._done, time.monotonic()

    def left(self) -> float:
        """The seconds that the remaining steps take at this pace; 0 before there is one."""
        if self._since is None or self._done == self._before:
            return 0.0
        each = (time.monotonic() - self._since) / (self._done - self._before)
        return each * (self._total - self._done)


def total(parts: Iterable[Expected]) -> Expected:
    """The estimated time of several works, one after the other."""
    found = [*parts]
    return Expected(sum(part.seconds for part in found), any(part.is_least for part in found))


def rough(seconds: float) -> str:
    """ "40 s", "12 min", "2.5 h"."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
