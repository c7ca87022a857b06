"""The progress of trials that run in parallel."""

from __future__ import annotations

import time

from dpbench.benchmark.launching import Outcome, Waves
from dpbench.benchmark.timetable import rough


class Tally:
    """Counts trials that have ended, for the line above the progress bars.

    Args:
        waves: all tasks.
    """

    def __init__(self, waves: Waves):
        self._count = sum(not task.public for wave in waves for task in wave)
        self._ended = self._ran = 0
        self._start = time.monotonic()

    def add(self, outcome: Outcome) -> Outcome:
        """Counts a task that has ended, and returns its outcome."""
        if not outcome.task.public:
            self._ended += 1
            self._ran += outcome.acted
        return outcome

    def line(self) -> str:
        """ "12 of 32 trials ended · about 5 min left", if the others take as long as those that ran so far."""
        text = f"{self._ended} of {self._count} trials ended"
        if not self._ran or self._ended == self._count:
            return text
        left = (time.monotonic() - self._start) / self._ran * (self._count - self._ended)
        return f"{text} · about {rough(left)} left"
