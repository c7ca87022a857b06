"""A trial's log.txt: the timestamped log of all attempts."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpbench.core.errors import FOREIGN, DpbenchError, RunError, one_line
from dpbench.core.stopwatch import Stopwatch
from dpbench.results.provenance import now


class TrialLog:
    """Appends lines to a text file.

    Args:
        path: the file; None for a process that writes nothing.

    Attributes:
        seconds: phase -> how long it took.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.seconds: dict[str, float] = {}

    def __call__(self, text: str) -> None:
        """Writes the time and `text`.

        Raises:
            RunError: the file cannot be written.
        """
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{now()}  {text}\n")
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror or error}") from error

    @contextmanager
    def phase(self, name: str, stopwatch: Stopwatch | None = None) -> Iterator[None]:
        """Logs and stores how long a phase takes.

        Args:
            name: the name of the phase.
            stopwatch: measures the phase over several attempts; by default only this attempt counts.
        """
        stopwatch = stopwatch or Stopwatch()
        self(f"{name} ...")
        yield
        stopwatch.save()
        self.seconds[name] = stopwatch.seconds
        self(f"{name}: {self.seconds[name]:.1f} s")

    @contextmanager
    def errors_of(self, trial: object) -> Iterator[None]:
        """Logs anything that ends the block early. An error of a plugin becomes one line that names the trial.

        Raises:
            DpbenchError: whatever went wrong; the traceback is in the log.
        """
        try:
            yield
        except KeyboardInterrupt:
            self("interrupted")
            raise
        except DpbenchError as error:
            self(f"failed: {error}")
            raise
        except FOREIGN as error:
            self(f"failed:\n{traceback.format_exc()}")
            raise DpbenchError(f"{trial} failed: {one_line(error)} (traceback in {self.path})") from error
