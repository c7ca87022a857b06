"""Batch, steps and trained weights proposed for a method at given budgets, measured on public images alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpbench.benchmark.configure import DEFAULT_PRESET, Configured, configure
from dpbench.benchmark.places import data_folder
from dpbench.benchmark.planning import TRAINABLE, Planner, variants
from dpbench.benchmark.sources import Sources
from dpbench.benchmark.sweep import Sweep
from dpbench.core.context import PublicCache
from dpbench.core.data import DataOptions
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import cache_folder, state_folder
from dpbench.core.progress import Display
from dpbench.privacy.planner import Candidate, best
from dpbench.training.device import resolve_device, resolve_precision


@dataclass(frozen=True)
class Proposal:
    """What a method could run at one ε, and which choice is expected to get furthest.

    Attributes:
        method: the method as it is configured now.
        dataset: name of the sensitive dataset.
        public: name of the public source that gradients were measured on.
        epsilon: ε of every candidate.
        candidates: value of the setting `trainable` ("all" where the method has no such setting) -> candidates.
    """

    method: Configured
    dataset: str
    public: str
    epsilon: float
    candidates: Mapping[str, Sequence[Candidate]]

    @property
    def best(self) -> Candidate:
        """The candidate with the largest expected progress."""
        return best([candidate for candidates in self.candidates.values() for candidate in candidates])

    @property
    def settings(self) -> dict[str, int | str]:
        """The method's settings that select the best candidate."""
        chosen = self.best
        settings: dict[str, int | str] = {"batch": chosen.mechanism.expected_batch, "steps": chosen.mechanism.steps}
        if len(self.candidates) > 1:
            settings[TRAINABLE] = next(
                value for value, candidates in self.candidates.items() if any(c is chosen for c in candidates)
            )
        return settings

    def is_configured(self, trainable: str, candidate: Candidate) -> bool:
        """Whether a candidate trains the weights, and has the batch, that the method is configured with."""
        config = self.method.config
        return (getattr(config, TRAINABLE, "all"), config.batch) == (trainable, candidate.mechanism.expected_batch)


def propose(
    name: str,
    dataset: str,
    public: str,
    epsilons: Sequence[float],
    *,
    display: Display,
    compute: int | None = None,
    delta: float | None = None,
    preset: str = DEFAULT_PRESET,
    settings: Mapping[str, Any] | None = None,
    samples: int = 10_000,
    resolution: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    data: Path | None = None,
    download: bool = False,
) -> Iterator[Proposal]:
    """A proposal per ε.

    Pretrains and measures on public data, unless the result is in the public cache. Of the sensitive dataset only the
    declaration is used; it is never opened.

    Args:
        name: name of the method.
        dataset: name of the sensitive dataset.
        public: name of the public source.
        epsilons: finite budgets.
        display: where progress is shown.
        compute: batch · steps · views that may be computed; by default what the method's settings compute.
        delta: δ; 1 / (n ln n) by default.
        preset: preset that the method's settings start from.
        settings: settings that override the preset's.

    Raises:
        DpbenchError: the method has no DP-SGD, or the arguments do not fit together.
    """
    if not all(map(math.isfinite, epsilons)):
        raise DpbenchError("a proposal needs a finite ε")
    (method,) = configure([name], dataset, preset, settings or {})
    sweep = Sweep(tuple(epsilons), 1, samples, delta=delta)
    device = resolve_device(device)
    computed_in = resolve_precision(precision, device)
    sources = Sources(dataset, public, DataOptions(data_folder(data), resolution, download), state_folder())
    cache = PublicCache(cache_folder() / "public")
    spec = sources.spec
    planner = Planner(sources, sweep.request(spec), sweep.delta_for(spec), device, computed_in, cache, display)
    for epsilon in epsilons:
        found = {value: planner.judge(variant, epsilon, compute) for value, variant in variants(method).items()}
        yield Proposal(method, dataset, public, epsilon, found)
