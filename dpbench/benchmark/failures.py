"""The trials of a run that failed while the others went on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dpbench.core.errors import UNFINISHED, DpbenchError

if TYPE_CHECKING:
    from dpbench.benchmark.commands.running import Finished


class Failure(NamedTuple):
    """A trial that failed.

    Attributes:
        trial: its readable name.
        reason: one line.
        log: the trial's log.txt.
    """

    trial: str
    reason: str
    log: Path

    def __str__(self) -> str:
        reason = self.reason.removeprefix(f"{self.trial} failed: ")
        log = "" if str(self.log) in reason else f" (log: {self.log})"
        return f"{self.trial}: {reason}{log}"

    def reword(self, error: DpbenchError, experiment: Path) -> None:
        """Makes the error of a run that ends with this failure name the trial, the log and what tries it again."""
        error.args = (f"{self}; `{_again(experiment)}` tries again",)
        error.exit_code = UNFINISHED


def _again(experiment: Path) -> str:
    return shlex.join(["dpbench", "run", "--config", str(experiment)])


class TrialsFailed(DpbenchError):
    """Some trials of a run failed. All others are finished.

    Attributes:
        failures: the failures, in the order of the trials.
        finished: the results of the run.
    """

    exit_code = UNFINISHED

    def __init__(self, failures: Sequence[Failure], trials: int, finished: Finished):
        again = _again(finished.experiment)
        super().__init__(f"{len(failures)} of {trials} trials failed; `{again}` tries them again, and no others")
        self.failures = failures
        self.finished = finished
        for failure in failures:
            self.add_note(str(failure))


class RunsFailed(DpbenchError):
    """The runs on some datasets of an experiment failed. All others are finished."""

    exit_code = UNFINISHED

    def __init__(self, failed: int, runs: int):
        super().__init__(f"{failed} of {runs} runs failed; the same command tries them again")
