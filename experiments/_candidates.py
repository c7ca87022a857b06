"""The compared candidates (a method with settings) and tasks (a dataset with its public source)."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dpbench.benchmark.configure import configure
from dpbench.benchmark.request import DEFAULT_PRESET
from dpbench.core.data import DataOptions
from dpbench.core.errors import UnknownName
from dpbench.core.variants import parse_variant, variant_label
from dpbench.data.opening import default_root, open_dataset


@dataclass(frozen=True)
class Candidate:
    """One way to spend the budget.

    Attributes:
        name: name in the table and the figure.
        method: argument of `dpbench run --method`, with the settings that define the candidate in brackets.
        settings: settings for the task, applied over the preset; must include "steps".
        step_seconds: seconds of one private step on the reference machine; None if not measured.
        unverified: whether the candidate is a control that uses real records without noise.
    """

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    step_seconds: float | None = None
    unverified: bool = False

    @property
    def variant(self) -> str:
        """The method with all its settings in brackets."""
        method, own = parse_variant(self.method)
        label = variant_label({**own, **self.settings}.items())
        return f"{method}[{label}]" if label else method

    @property
    def private_seconds(self) -> float:
        """Seconds of the private phase on the reference machine; NaN if not measured."""
        return math.nan if self.step_seconds is None else self.settings["steps"] * self.step_seconds


@dataclass(frozen=True)
class Task:
    """A sensitive dataset with a public source and candidates.

    Attributes:
        dataset: argument of `dpbench run --dataset`.
        label: short description of the dataset.
        public: argument of `dpbench run --public`.
        candidates: compared candidates; the hypothesis is about the first one.
    """

    dataset: str
    label: str
    public: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Request:
    """Trials to run for every candidate.

    Attributes:
        references: reference rows, "real", "public" or "nonprivate", besides the private ones.
        options: further options of `dpbench run`: {"--device": "cuda"}.
    """

    epsilons: tuple[float, ...]
    seeds: int
    samples: int
    out: Path
    data: Path | None = None
    preset: str = DEFAULT_PRESET
    references: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


class Entry(NamedTuple):
    """A candidate on a task, with the dataset, method and variant that identify its rows."""

    task: Task
    candidate: Candidate
    dataset: str
    method: str
    variant: str


def choose(tasks: Sequence[Task], datasets: Sequence[str]) -> list[Task]:
    """The tasks with these datasets, in the order of `tasks`; all tasks if `datasets` is empty.

    Raises:
        UnknownName: there is no task with such a dataset.
    """
    for name in datasets:
        if name not in {a.dataset for a in tasks}:
            raise UnknownName("dataset of this experiment", name, {a.dataset for a in tasks})
    return [a for a in tasks if not datasets or a.dataset in datasets]


def entries(tasks: Sequence[Task], request: Request) -> Iterator[Entry]:
    """Every candidate of every task; reads no images.

    Raises:
        DpbenchError: a method, a setting or a dataset does not exist.
    """
    options = DataOptions(request.data or default_root())
    for task in tasks:
        dataset = open_dataset(task.dataset, options).spec.name
        for candidate in task.candidates:
            (configured,) = configure([candidate.variant], task.dataset, request.preset, {})
            yield Entry(task, candidate, dataset, configured.name, configured.variant)


def command(task: Task, candidate: Candidate, request: Request) -> list[str]:
    """The `dpbench run` command that trains, samples and scores a candidate on a task; finished trials are skipped."""
    options = {
        "--method": candidate.variant,
        "--dataset": task.dataset,
        "--public": task.public,
        "--eps": ",".join(f"{epsilon:g}" for epsilon in request.epsilons),
        "--seeds": request.seeds,
        "--samples": request.samples,
        "--references": ",".join(request.references) or "none",
        "--preset": request.preset,
        "--out": request.out,
        **({"--data": request.data} if request.data else {}),
        **request.options,
    }
    return [sys.executable, "-m", "dpbench", "run", *(str(part) for option in options.items() for part in option)]
