"""The available plugins: names and summaries, kind by kind."""

from __future__ import annotations

from typing import Any

from dpbench.core.errors import DpbenchError
from dpbench.core.registries import (
    DATASETS,
    EXTRACTORS,
    GENERATORS,
    METHODS,
    METRICS,
    REFINERS,
    TEXT_ENCODERS,
    is_public_only,
)
from dpbench.core.registry import Registry

REGISTRIES: dict[str, Registry[Any]] = {
    "methods": METHODS,
    "datasets": DATASETS,
    "public": DATASETS,
    "metrics": METRICS,
    "refiners": REFINERS,
    "extractors": EXTRACTORS,
    "text-encoders": TEXT_ENCODERS,
    "generators": GENERATORS,
}


def plugin_summaries(kind: str) -> dict[str, str]:
    """Name -> summary, or the error that a plugin's import raises; no built-in plugin is imported.

    Args:
        kind: a key of `REGISTRIES`; "datasets" omits those that are only public sources.
    """
    lines = {}
    for name in REGISTRIES[kind].names():
        try:
            if kind != "datasets" or not is_public_only(name):
                lines[name] = REGISTRIES[kind].summary(name)
        except DpbenchError as error:
            lines[name] = f"not available: {error}"
    return lines
