"""OUT/leaderboard.csv, kept up to date while trials finish."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd

from dpbench.results.leaderboard_rows import FILE, collect, write_csv

QUICK = 0.5
"""The file is written after every trial if that takes at most this many seconds."""

SHARE = 0.05
"""If writing takes longer, the maximum share of a run's time that goes into it."""


class LeaderboardFile:
    """The leaderboard of a folder of results.

    With thousands of trials in the folder, writing the file takes a while. Then it is not written after each trial.

    Args:
        out: folder of results.
    """

    def __init__(self, out: Path):
        self._out = out
        self._due = 0.0

    def update(self) -> None:
        """Writes the file, unless that would take too large a share of the run's time."""
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> pd.DataFrame:
        """Writes the file, and returns its rows."""
        start = time.monotonic()
        rows = collect(self._out)
        write_csv(rows, self._out / FILE)
        now = time.monotonic()
        took = now - start
        self._due = now + took / SHARE if took > QUICK else now
        return rows
