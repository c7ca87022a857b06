"""What a logger of experiments does, and which ones there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from dpbench.core.errors import UnknownName

TRACKERS = {
    "tensorboard": "dpbench.benchmark.tracking.tensorboard_tracker:TensorBoard",
    "wandb": "dpbench.benchmark.tracking.wandb_tracker:WeightsAndBiases",
    "mlflow": "dpbench.benchmark.tracking.mlflow_tracker:MLflow",
}
"""Name -> "module:class"; each needs a package of the extra `track`."""


class TrackedRun(NamedTuple):
    """A trial, as loggers know it.

    Attributes:
        key: the trial's.
        title: how people read it.
        dataset: name of the dataset's folder.
        settings: what defines it: method, ε, seed, settings of the method ...
    """

    key: str
    title: str
    dataset: str
    settings: Mapping[str, str | int | float | bool]


class Tracker(ABC):
    """One logger. It gets what the progress display gets, and scores that may be shown; nothing that is private.

    Its methods may raise anything: the trial goes on without it.

    Args:
        folder: for its files.

    Raises:
        NotInstalled: its package is missing.
    """

    @abstractmethod
    def __init__(self, folder: Path): ...

    @abstractmethod
    def begin(self, run: TrackedRun) -> None:
        """Opens the log of a trial; one that was interrupted goes on in the same log."""

    @abstractmethod
    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """Logs statistics at a step of a phase of the trial."""

    @abstractmethod
    def finish(self, scores: Mapping[str, float]) -> None:
        """Closes the log of the trial, with its scores; there are none of a trial that failed or may not show them."""


def make_tracker(name: str, folder: Path) -> Tracker:
    """The logger called `name`.

    Raises:
        UnknownName: there is none.
        NotInstalled: its package is missing.
    """
    if name not in TRACKERS:
        raise UnknownName("logger", name, TRACKERS)
    module, _, cls = TRACKERS[name].partition(":")
    return getattr(import_module(module), cls)(folder)
