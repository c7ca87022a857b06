"""What `dpbench privacy METHOD --propose` shows: batches, steps and trained weights for a budget, the best marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dpbench.benchmark.configure import DEFAULT_PRESET, Configured, configure
from dpbench.benchmark.places import data_folder
from dpbench.benchmark.planning import TRAINABLE, Planner, variants
from dpbench.benchmark.sources import Sources
from dpbench.benchmark.sweep import Sweep
from dpbench.core.cache import PublicCache
from dpbench.core.data import DataOptions
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import cache_folder, state_folder
from dpbench.core.progress import Display
from dpbench.privacy.planner import Candidate, best
from dpbench.training.device import resolve_device, resolve_precision


def proposals(
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
) -> Iterator[RenderableType]:
    """A page per ε. Pretrains and measures on public data, unless that is in the cache; never opens the dataset itself.

    Args:
        name: of the method; the other settings are those of its preset, with `settings` over them.
        dataset: name of the sensitive dataset, of which only the declaration is used.
        public: name of the public source.
        epsilons: finite budgets.
        display: where progress shows.
        compute: batch · steps · views that may be computed; by default what the settings compute.

    Raises:
        DpbenchError: the method has no DP-SGD, or the request does not go together.
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
        yield _page(method, f"{name} on {dataset}, ε = {epsilon:g}, measured on {public}", found)


def _page(method: Configured, title: str, found: Mapping[str, Sequence[Candidate]]) -> RenderableType:
    winner = best([candidate for candidates in found.values() for candidate in candidates])
    set_to = (getattr(method.config, TRAINABLE, "all"), method.config.batch)
    headings = ("", "trainable", "weights", "batch", "steps", "noise multiplier", "step SNR", "progress")
    table = Table(*headings, title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    table.columns[5].min_width = len("multiplier")
    for trainable, candidates in found.items():
        for c in candidates:
            m = c.mechanism
            as_set = "as set" if set_to == (trainable, m.expected_batch) else ""
            mark, style = ("best", "bold") if c is winner else (as_set, "")
            numbers = (f"{c.gradients.weights:,}", f"{m.expected_batch}", f"{m.steps}", f"{m.noise_multiplier:.4g}")
            table.add_row(mark, trainable, *numbers, f"{c.snr:.2g}", f"{c.progress / winner.progress:.2f}", style=style)
    chosen: dict[str, int | str] = {"batch": winner.mechanism.expected_batch, "steps": winner.mechanism.steps}
    if len(found) > 1:
        chosen[TRAINABLE] = next(value for value, candidates in found.items() if any(c is winner for c in candidates))
    gradients = winner.gradients
    measured = (
        f"mean clipped gradient {gradients.signal:.3g}, root mean square of the records' own {gradients.rms:.3g}, "
        f"clip {winner.mechanism.clip:g}"
    )
    return Group(table, Text(measured), Text(" ".join(f"--set {key}={value}" for key, value in chosen.items())))
