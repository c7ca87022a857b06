"""Shell completion: names of plugins, settings and trials. Imports neither torch nor plugins that are not named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from dpbench.benchmark.protocols import PROTOCOLS
from dpbench.benchmark.request import REFERENCES, RunRequest
from dpbench.benchmark.tracking.tracker import TRACKERS
from dpbench.core.config import Described, build, describe
from dpbench.core.errors import DpbenchError
from dpbench.core.registries import (
    DATASETS,
    GENERATORS,
    METHODS,
    METRICS,
    REFINERS,
    REGISTRIES,
    TEXT_ENCODERS,
    is_public_only,
)
from dpbench.core.variants import parse_variant, split_list

Complete = Callable[[typer.Context, str], list[str]]

PRESETS = ("small", "gpu", "paper")
"""The presets that every built-in method has."""

NAMING = ("methods", "method", "name", "refiner")
"""Parameters whose values name the plugins that a command is about."""


def listed(names: Callable[[], Iterable[str]]) -> Complete:
    """Completes the last name of a comma-separated list; names already in the list are left out."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in names() if name not in before.split(",")]

    return complete


def settings(context: typer.Context, incomplete: str) -> list[str]:
    """Completes KEY=, METHOD:KEY= if there are several methods, and the names of the plugins that a setting accepts."""
    plugins = dict(_named_plugins(context))
    offered: list[str] = []
    for name, plugin in plugins.items():
        for line in describe(build(plugin.Config, {})):
            offered += _offered(line, "")
            offered += _offered(line, f"{name}:") if len(plugins) > 1 else []
    return list(dict.fromkeys(offered))


def _offered(line: Described, prefix: str) -> list[str]:
    """A setting as it is typed: "steps=", or "refiner.name=bicubic" for each name that it accepts."""
    is_choice = line.key.endswith(".name")
    return [f"{prefix}{line.key}={value}" for value in (line.type.split(" | ") if is_choice else [""])]


def _named_plugins(context: typer.Context) -> Iterator[tuple[str, Any]]:
    """The plugins with settings that are on the command line so far."""
    arguments = context.args  # not assigned to their parameters until every option has its value
    for text in [*(context.params.get(parameter) for parameter in NAMING), *arguments]:
        for part in _parts(text or ""):
            name = parse_variant(part).method
            for registry in (METHODS, REFINERS, TEXT_ENCODERS, GENERATORS):
                if name in registry.names():
                    yield name, registry.get(name)


def _parts(text: str) -> list[str]:
    try:
        return split_list(text)
    except DpbenchError:  # brackets are still open
        return []


def presets(context: typer.Context, incomplete: str) -> list[str]:
    """Completes the presets of the methods that are on the command line so far."""
    named = [plugin for _, plugin in _named_plugins(context) if hasattr(plugin, "presets")]
    return sorted({preset for plugin in named for preset in plugin.presets if "/" not in preset}) or [*PRESETS]


def sensitive_datasets() -> list[str]:
    """Names of datasets that are benchmarks; imports no dataset."""
    return [name for name in DATASETS.names() if not (DATASETS.is_builtin(name) and is_public_only(name))]


def plugins() -> list[str]:
    """Names of plugins of every kind."""
    return sorted({name for registry in REGISTRIES for name in registry.names()})


def trials(context: typer.Context, incomplete: str) -> list[str]:
    """Completes the folders and keys of finished trials, by default those in results/."""
    from dpbench.results.trial_folder import TrialFolder

    paths = [folder.path for folder in TrialFolder.finished(Path(context.params.get("results") or RunRequest.out))]
    return [name for path in paths for name in (str(path), path.name) if name.startswith(incomplete or str(path))]


def _scores() -> list[str]:
    """Names of the columns that metrics fill."""
    from dpbench.results.metric_columns import known_columns

    return [column.name for column in known_columns()]


columns = listed(_scores)
"""Completes a comma-separated list of score columns."""


def conditions(context: typer.Context, incomplete: str) -> list[str]:
    """Completes COLUMN= with all columns of the leaderboard."""
    from dpbench.results.row import FIELDS

    return [f"{name}=" for name in [*(field.name for field in FIELDS), *_scores()]]


OPTIONS: dict[str, Complete] = {
    "methods": listed(METHODS.names),
    "dataset": listed(sensitive_datasets),
    "public": listed(DATASETS.names),
    "references": listed(lambda: [*REFERENCES, "none"]),
    "preset": presets,
    "settings": settings,
    "metrics": listed(METRICS.names),
    "protocol": listed(lambda: PROTOCOLS),
    "track": listed(lambda: TRACKERS),
    "device": listed(lambda: ["auto", "cpu", "cuda"]),
    "precision": listed(lambda: ["auto", "fp32", "bf16"]),
}
"""Field of a request -> the function that completes its option."""
