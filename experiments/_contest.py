"""Who competes where: contenders (a method with settings) in arenas (a dataset with its public source)."""

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
class Contender:
    """One way to spend the budget.

    Attributes:
        name: in table and figure.
        method: as `dpbench run --method` takes it, in brackets what makes it this contender.
        settings: over the preset, for the arena; "steps" among them.
        step_seconds: seconds of one private step on the reference machine; None where they are not measured.
    """

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    step_seconds: float | None = None

    @property
    def variant(self) -> str:
        """The method with all its settings in brackets."""
        method, own = parse_variant(self.method)
        label = variant_label({**own, **self.settings}.items())
        return f"{method}[{label}]" if label else method

    @property
    def private_seconds(self) -> float:
        """The private phase's seconds on the reference machine; not a number where they are not measured."""
        return math.nan if self.step_seconds is None else self.settings["steps"] * self.step_seconds


@dataclass(frozen=True)
class Arena:
    """A sensitive dataset with a public source, and who competes on it.

    Attributes:
        dataset: as `dpbench run --dataset` takes it.
        label: what it stands for.
        public: as `dpbench run --public` takes it.
        contenders: the first is the one that the hypothesis is about.
    """

    dataset: str
    label: str
    public: str
    contenders: tuple[Contender, ...]


@dataclass(frozen=True)
class Request:
    """What is run of every contender."""

    epsilons: tuple[float, ...]
    seeds: int
    samples: int
    out: Path
    data: Path | None = None


class Entry(NamedTuple):
    """How a contender's rows are found: their dataset, method and variant, and public source."""

    arena: Arena
    contender: Contender
    dataset: str
    method: str
    variant: str


def choose(arenas: Sequence[Arena], datasets: Sequence[str]) -> list[Arena]:
    """The arenas on the named datasets, in their own order; all where none is named.

    Raises:
        UnknownName: a dataset is no arena.
    """
    for name in datasets:
        if name not in {a.dataset for a in arenas}:
            raise UnknownName("dataset of this experiment", name, {a.dataset for a in arenas})
    return [a for a in arenas if not datasets or a.dataset in datasets]


def entries(arenas: Sequence[Arena], request: Request) -> Iterator[Entry]:
    """Every contender in every arena; no image is read.

    Raises:
        DpbenchError: a method, a setting or a dataset does not exist.
    """
    options = DataOptions(request.data or default_root())
    for arena in arenas:
        dataset = open_dataset(arena.dataset, options).spec.name
        for contender in arena.contenders:
            (configured,) = configure([contender.variant], arena.dataset, DEFAULT_PRESET, {})
            yield Entry(arena, contender, dataset, configured.name, configured.variant)


def command(arena: Arena, contender: Contender, request: Request) -> list[str]:
    """The `dpbench run` that trains, samples and scores one contender in one arena, or skips what is finished."""
    options = {
        "--method": contender.variant,
        "--dataset": arena.dataset,
        "--public": arena.public,
        "--eps": ",".join(f"{epsilon:g}" for epsilon in request.epsilons),
        "--seeds": request.seeds,
        "--samples": request.samples,
        "--references": "none",
        "--out": request.out,
        **({"--data": request.data} if request.data else {}),
    }
    return [sys.executable, "-m", "dpbench", "run", *(str(part) for option in options.items() for part in option)]
