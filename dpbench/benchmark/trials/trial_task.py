"""A trial that any process can run from scratch: the request, and the trial within it, as JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpbench.benchmark.experiment import as_experiment, requests_of
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.benchmark.trials.trial_run import pretrain, run_trial
from dpbench.core.errors import DpbenchError


@dataclass(frozen=True)
class TrialTask:
    """One trial of a request, or the public training that several of its trials share.

    Attributes:
        request: the request.
        trial: the trial's specification.
        number: the number of the trial among those of the command, counted from 1.
        count: the number of trials of the command.
        public: whether to run only the trial's public training, which stores its result in the cache.
    """

    request: RunRequest
    trial: TrialSpec
    number: int = 1
    count: int = 1
    public: bool = False

    @property
    def name(self) -> str:
        """ "[2/32]", or "[2/32, public]" for public training."""
        return f"[{self.number}/{self.count}{', public' if self.public else ''}]"

    def __str__(self) -> str:
        return f"{self.name} {f'public training of {self.trial.title}' if self.public else self.trial}"

    def run(self, session: Session, metrics: Sequence[str]) -> bool:
        """Runs its remaining stages in this process.

        Args:
            session: the session of the request.
            metrics: names of the metrics to compute.

        Returns:
            whether anything was left to do.

        Raises:
            DpbenchError: whatever went wrong, in one line.
        """
        return pretrain(self.trial, session) if self.public else run_trial(self.trial, session, metrics)

    def as_json(self) -> dict[str, Any]:
        """The task as JSON-like values, which hold everything that another process needs beside the files.

        `force` and the launcher are left out: the other process continues from the existing files, by itself.
        """
        numbers = {"number": self.number, "count": self.count, "public": self.public}
        return {"request": as_experiment([self.request]), "trial": self.trial.as_json()} | numbers

    @classmethod
    def from_json(cls, content: Mapping[str, Any], request: RunRequest | None = None) -> TrialTask:
        """The task that `as_json` wrote, possibly on another machine.

        Args:
            content: the content of the task.
            request: the task's request, if this process has already loaded its plugins; by default they are loaded now.

        Raises:
            DpbenchError: a field is missing or unknown, or a plugin is missing.
        """
        try:
            values = dict(content)
            asked = values.pop("request")
            if request is None:
                (request,) = requests_of(asked, {}, "the request of a trial")
                request.load_plugins()
            return cls(request, TrialSpec.from_json(values.pop("trial")), **values)
        except (KeyError, TypeError, ValueError) as error:
            raise DpbenchError(f"this is not a trial to run: {type(error).__name__} {error}") from error


def tasks_of(trials: Sequence[TrialSpec], done: Collection[str], request: RunRequest) -> list[TrialTask]:
    """The tasks of a command: all of its trials except those whose keys are in `done`."""
    return [
        TrialTask(request, trial, number, len(trials))
        for number, trial in enumerate(trials, start=1)
        if trial.key not in done
    ]
