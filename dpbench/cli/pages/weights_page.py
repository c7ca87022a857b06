"""The table of pretrained weights, for `dpbench weights list`."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from dpbench.cli.pages.simple_table import simple_table
from dpbench.core.counted import sized
from dpbench.models.pretrained.finding import find, intact
from dpbench.models.pretrained.published import WEIGHTS, Weights


def weights_table() -> RenderableType:
    """Every named set of weights: its size, its location, and what needs it."""
    table = simple_table("", "weights", "size", "location", "needed for", left=4)
    table.columns[1].justify = "right"
    for name, weights in WEIGHTS.items():
        where = Text(describe_location(weights), overflow="fold")
        what = Text.assemble(weights.unlocks, "\n", (weights.source, "dim"))
        table.add_row(Text(name, style="bold"), sized(weights.size), where, what)
    return table


def describe_location(weights: Weights) -> str:
    """The path of the weights' first file, or which files are missing or damaged."""
    found = {file: find(file) for file in weights.files}
    paths = {file: path for file, path in found.items() if path is not None}
    if len(paths) < len(found):
        return "missing" if not paths else f"missing: {', '.join(file.name for file in found if file not in paths)}"
    damaged = [str(path) for file, path in paths.items() if not intact(path, file)]
    return f"damaged: {', '.join(damaged)}" if damaged else str(paths[weights.files[0]])
