"""The trackers of a command, and the trial that they follow."""

from __future__ import annotations

import math
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpbench.benchmark.tracking.tracker import TrackedRun, Tracker, make_tracker
from dpbench.core.config import as_settings
from dpbench.core.progress import Advance, Progress, Silent
from dpbench.results.trial_folder import safe_name

if TYPE_CHECKING:
    from dpbench.benchmark.trials.trial import TrialSpec
    from dpbench.results.record import TrialRecord

FOLDER = "tracking"
"""Folder of the trackers' files, in the folder of results."""

EVERY = 2.0
"""Minimum time between two entries of a phase, in seconds."""

FACTS = ("method", "variant", "preset", "track", "epsilon", "delta", "seed")

_STATISTIC = re.compile(r"(?P<name>\w+) (?P<value>-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?: |$)")


class Tracking:
    """Follows one trial after the other. A tracker that fails is dropped, with a warning.

    Args:
        names: the names of trackers.
        out: folder of results.

    Raises:
        NotInstalled: the package of a tracker is missing.
    """

    def __init__(self, names: Sequence[str] = (), out: Path = Path()):
        self._trackers: dict[str, Tracker] = {name: make_tracker(name, out / FOLDER) for name in names}
        self._run: TrackedRun | None = None

    def of(self, trial: TrialSpec | TrialRecord) -> Progress:
        """Progress that goes to the trackers' log of a trial; ends the log of the trial before it."""
        if not self._trackers:
            return Silent()
        run = _tracked(trial)
        if self._run is None or self._run.key != run.key:
            self.close()
            self._run = run
            self._each(lambda tracker: tracker.begin(run))
        return self

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """See `Progress`."""
        done, told = 0, -math.inf
        untold: dict[str, float] = {}

        def tell() -> None:
            nonlocal told
            step, values = done, dict(untold)
            self._each(lambda tracker: tracker.log(name, step, values))
            told = time.monotonic()
            untold.clear()

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal done
            done += steps
            untold.update(statistics(note))
            if untold and time.monotonic() - told >= EVERY:
                tell()

        yield advance
        if untold:
            tell()

    def finish(self, trial: TrialSpec | TrialRecord, scores: Mapping[str, float]) -> None:
        """Ends the log of a trial with its scores."""
        self.of(trial)
        self._end(scores)

    def close(self) -> None:
        """Ends the log of the current trial without scores."""
        self._end({})

    def _end(self, scores: Mapping[str, float]) -> None:
        if self._run is not None:
            self._run = None
            self._each(lambda tracker: tracker.finish(scores))

    def _each(self, act: Callable[[Tracker], object]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                act(tracker)
            except Exception as error:  # a service that cannot be reached, a full disk ...
                del self._trackers[name]
                reason = " ".join(str(error).split()) or type(error).__name__
                warnings.warn(f"{name} no longer tracks this run: {reason}", stacklevel=2)


def statistics(note: str) -> dict[str, float]:
    """The numbers in a note of progress: "ε 0.83 of 1 · loss 0.12" -> {"epsilon": 0.83, "loss": 0.12}."""
    found = [_STATISTIC.match(part.strip()) for part in note.split("·")]
    return {match["name"].replace("ε", "epsilon"): float(match["value"]) for match in found if match}


def _tracked(trial: TrialSpec | TrialRecord) -> TrackedRun:
    """A trial as trackers see it; paths of datasets are left out."""
    dataset = safe_name(trial.spec.name)
    config: dict[str, Any] = trial.config if isinstance(trial.config, dict) else as_settings(trial.config)
    facts = {"dataset": dataset} | {name: getattr(trial, name) for name in FACTS}
    settings = facts | {f"settings.{name}": value for name, value in config.items()}
    plain = {name: value if isinstance(value, bool | int | float) else str(value) for name, value in settings.items()}
    return TrackedRun(trial.key, str(trial), dataset, plain)
