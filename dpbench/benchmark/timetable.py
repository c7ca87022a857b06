"""Where a command stands in its trials, and about how long the rest takes, from trials that are finished."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

STAGES = {"prepare": "public training", "fit": "private training", "sample": "sampling", "evaluate": "scoring"}
"""The stages of a trial in order, and what people read."""


class Work(NamedTuple):
    """What is left to do of a trial.

    Attributes:
        kind: trials of the same kind take about the same time in each of their stages.
        stages: a part of `STAGES`, in order; empty if the trial is finished.
    """

    kind: Hashable
    stages: tuple[str, ...]


class Timetable:
    """The trials of a command. Estimates come from what took place in this command, or earlier."""

    def __init__(self) -> None:
        self._works: Sequence[Work] = ()
        self._number = 0
        self._open: tuple[str, ...] = ()  # stages of the running trial that are not over
        self._stage, self._since = "", 0.0
        self._seconds: dict[tuple[Hashable, str], list[float]] = defaultdict(list)

    def plan(self, works: Sequence[Work]) -> None:
        """States what there is to do, before the first trial starts."""
        self._works = works

    def learn(self, kind: Hashable, seconds: Mapping[str, float]) -> None:
        """Notes how long the stages of an earlier trial of a kind took."""
        for stage, took in seconds.items():
            self._seconds[kind, stage].append(took)

    def begin(self, number: int) -> None:
        """States that a trial starts, counted from 1."""
        self._number, self._open, self._stage = number, self._works[number - 1].stages, ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures a stage of the running trial; one that fails says nothing about others."""
        self._stage, self._since = name, time.monotonic()
        yield
        if self._number:
            self._seconds[self._works[self._number - 1].kind, name].append(time.monotonic() - self._since)
        self._open = tuple(stage for stage in self._open if stage != name)
        self._stage = ""

    def left(self) -> str:
        """ "about 3 min left"; "more than 3 min left" if some stages have no estimate; "" for less than 5 seconds."""
        known, unknown = self._seconds_left()
        return f"{'more than' if unknown else 'about'} {rough(known)} left" if known >= 5 else ""

    def line(self) -> str:
        """ "trial 2 of 5 · private training · about 3 min left"."""
        _, unknown = self._seconds_left()
        time_left = self.left() or ("estimating the time left ..." if unknown else "")
        parts = [f"trial {self._number} of {len(self._works)}", STAGES.get(self._stage, ""), time_left]
        return " · ".join(filter(None, parts))

    def _seconds_left(self) -> tuple[float, bool]:
        """The expected seconds of all stages that are not over, and whether some cannot be expected yet."""
        known, unknown = 0.0, False
        for number, work in enumerate(self._works[max(0, self._number - 1) :]):
            for stage in work.stages if number else self._open:
                expected = self._expected(work.kind, stage)
                if expected is None:
                    unknown = True
                elif number == 0 and stage == self._stage:
                    known += max(0.0, expected - (time.monotonic() - self._since))
                else:
                    known += expected
        return known, unknown

    def _expected(self, kind: Hashable, stage: str) -> float | None:
        """The mean over trials of the same kind. Public training counts once: later trials find it in the cache."""
        found = self._seconds.get((kind, stage), [])
        if not found:
            return None
        usual = found[1:] or [0.0] if stage == "prepare" else found
        return sum(usual) / len(usual)


def rough(seconds: float) -> str:
    """ "40 s", "12 min", "2.5 h"."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
