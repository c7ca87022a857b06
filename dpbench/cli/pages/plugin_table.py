"""The available plugins, for `dpbench list`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dpbench.benchmark.reporting.catalog import plugin_summaries
from dpbench.core.registries import is_public_only


def plugin_table(kinds: Sequence[str]) -> RenderableType:
    """`plugin_summaries` as a table; several kinds each have a heading, and each plugin is listed once."""
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
