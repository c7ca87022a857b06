"""The interface of experiment trackers, and the available ones."""

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
    """A trial, as trackers see it.

    Attributes:
        key: the trial's key.
        title: its readable name.
        dataset: name of the dataset's folder.
        settings: the values that define it: method, ε, seed, settings of the method ...
    """

    key: str
    title: str
    dataset: str
    settings: Mapping[str, str | int | float | bool]


class Tracker(ABC):
    """One tracker. It gets what the progress display gets, and scores that may be shown; nothing that is private.

    Its methods may raise anything: the trial continues without it.

    Args:
        folder: for its files.

    Raises:
        NotInstalled: its package is missing.
    """

    @abstractmethod
    def __init__(self, folder: Path): ...

    @abstractmethod
    def begin(self, run: TrackedRun) -> None:
        """Opens the log of a trial; an interrupted trial continues in the same log."""

    @abstractmethod
    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """Logs statistics at a step of a phase of the trial."""

    @abstractmethod
    def finish(self, scores: Mapping[str, float]) -> None:
        """Closes the log of the trial with its scores; there are none if the trial failed or may not show them."""


def make_tracker(name: str, folder: Path) -> Tracker:
    """The tracker called `name`.

    Raises:
        UnknownName: there is no such tracker.
        NotInstalled: its package is missing.
    """
    if name not in TRACKERS:
        raise UnknownName("tracker", name, TRACKERS)
    module, _, cls = TRACKERS[name].partition(":")
    return getattr(import_module(module), cls)(folder)
