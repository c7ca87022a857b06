"""TensorBoard: event files in OUT/tracking/tensorboard, read by `tensorboard --logdir`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dpbench.benchmark.tracking.tracker import TrackedRun, Tracker
from dpbench.core.extras import import_extra


class TensorBoard(Tracker):
    """One folder of event files per trial."""

    def __init__(self, folder: Path):
        import_extra("tensorboard", "track")
        self._folder = folder / "tensorboard"

    def begin(self, run: TrackedRun) -> None:
        """See `Tracker`."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(self._folder / run.dataset / f"{run.settings['method']}-{run.key}")
        lines = [f"    {name}: {value}" for name, value in run.settings.items()]
        self._writer.add_text("trial", "\n".join([run.title, "", *lines]))

    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{phase}/{name}", value, step)
        self._writer.flush()

    def finish(self, scores: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in scores.items():
            self._writer.add_scalar(f"scores/{name}", value, 0)
        self._writer.close()
