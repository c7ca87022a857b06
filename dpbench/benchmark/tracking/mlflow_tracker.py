"""MLflow: one run per trial, one experiment per dataset; without MLFLOW_TRACKING_URI in OUT/tracking/mlflow.db."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dpbench.benchmark.tracking.tracker import TrackedRun, Tracker
from dpbench.core.extras import import_extra

KEY = "dpbench.key"
"""The tag with the trial's key."""


class MLflow(Tracker):
    """Runs are named after the trial's title, and identified by the tag `KEY`."""

    def __init__(self, folder: Path):
        import_extra("mlflow", "track")
        self._folder = folder

    def begin(self, run: TrackedRun) -> None:
        """See `Tracker`."""
        from mlflow import MlflowClient

        self._folder.mkdir(parents=True, exist_ok=True)
        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(self._folder / 'mlflow.db').absolute()}"
        self._client = MlflowClient(address)
        name = f"dpbench/{run.dataset}"
        known = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if known is None else known.experiment_id
        earlier = self._client.search_runs([experiment], f"tags.`{KEY}` = '{run.key}'", max_results=1)
        if earlier:
            self._run = earlier[0].info.run_id
            return
        self._run = self._client.create_run(experiment, tags={KEY: run.key}, run_name=run.title).info.run_id
        for setting, value in run.settings.items():
            self._client.log_param(self._run, setting, value)

    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in values.items():
            self._client.log_metric(self._run, _allowed(f"{phase}/{name}"), value, step=step)

    def finish(self, scores: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in scores.items():
            self._client.log_metric(self._run, _allowed(f"scores/{name}"), value)
        self._client.set_terminated(self._run)


def _allowed(name: str) -> str:
    """A name without the characters that MLflow refuses."""
    return re.sub(r"[^\w./ -]", "", name)
