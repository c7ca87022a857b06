"""The available plugins, for `dpbench list`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dpbench.core.errors import DpbenchError
from dpbench.core.registries import DATASETS, EXTRACTORS, METHODS, METRICS, REFINERS, TEXT_ENCODERS, is_public_only
from dpbench.core.registry import Registry

REGISTRIES: dict[str, Registry[Any]] = {
    "methods": METHODS,
    "datasets": DATASETS,
    "public": DATASETS,
    "metrics": METRICS,
    "refiners": REFINERS,
    "extractors": EXTRACTORS,
    "text-encoders": TEXT_ENCODERS,
}


def plugin_summaries(kind: str) -> dict[str, str]:
    """Name -> summary, or the error that keeps a plugin from being imported; no built-in plugin is imported.

    Args:
        kind: a key of `REGISTRIES`; "datasets" omits those that are public sources only.
    """
    lines = {}
    for name in REGISTRIES[kind].names():
        try:
            if kind != "datasets" or not is_public_only(name):
                lines[name] = REGISTRIES[kind].summary(name)
        except DpbenchError as error:
            lines[name] = f"not available: {error}"
    return lines


def plugin_table(kinds: Sequence[str]) -> RenderableType:
    """`plugin_summaries` as a table; several kinds each below its name, and each plugin of them once."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for kind in kinds:
        if len(kinds) > 1:
            table.add_row(Text(kind, style="bold underline"))
        for name, line in plugin_summaries(kind).items():
            if kind != "public" or len(kinds) == 1 or is_public_only(name):
                table.add_row(Text(name, style="bold"), Text(line))
        if kind != kinds[-1]:
            table.add_row()
    return table
