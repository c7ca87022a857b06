"""Weights & Biases: one run per trial in the project "dpbench", a group per dataset.

WANDB_PROJECT, WANDB_MODE=offline and its other variables work as usual. Automatic uploads (the command line, printed
lines, code, statistics of the machine) are switched off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dpbench.benchmark.tracking.tracker import TrackedRun, Tracker
from dpbench.core.extras import import_extra


class WeightsAndBiases(Tracker):
    """Runs are named after the trial's title, and identified by its key."""

    def __init__(self, folder: Path):
        self._wandb = import_extra("wandb", "track")
        self._folder = folder

    def begin(self, run: TrackedRun) -> None:
        """See `Tracker`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        silent = self._wandb.Settings(
            silent=True, console="off", disable_code=True, disable_git=True, x_disable_meta=True, x_disable_stats=True
        )
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "dpbench"), id=run.key, name=run.title, group=run.dataset,
            config=dict(run.settings), dir=str(self._folder), resume="allow", settings=silent,
        )  # fmt: skip

    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.define_metric(f"{phase}/*", step_metric=f"{phase}/step")
        self._run.log({f"{phase}/step": step} | {f"{phase}/{name}": value for name, value in values.items()})

    def finish(self, scores: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.summary.update({f"scores/{name}": value for name, value in scores.items()})
        self._run.finish()
