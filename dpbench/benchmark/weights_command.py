"""`dpbench weights` as functions: what pretrained weights there are, and getting them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dpbench.core.progress import Display
from dpbench.models.pretrained.downloads import fetch
from dpbench.models.pretrained.finding import find, intact
from dpbench.models.pretrained.published import WEIGHTS, Weights, named

ALL = "all"


def weights_table() -> RenderableType:
    """Every named set of weights: size, whether it is here and where, what it unlocks."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0))
    for title in ("weights", "size", "here", "what they unlock"):
        table.add_column(title, justify="right" if title == "size" else "left")
    for name, weights in WEIGHTS.items():
        where = Text(_where(weights), overflow="fold")
        what = Text.assemble(weights.unlocks, "\n", (weights.source, "dim"))
        table.add_row(Text(name, style="bold"), _size(weights.size), where, what)
    return table


def get_weights(names: Sequence[str], display: Display) -> None:
    """Downloads what is not here yet of the named weights, or of all for "all".

    Raises:
        UnknownName: no weights have that name; nothing is downloaded then.
        DpbenchError: see `downloads.fetch`.
    """
    wanted = {name: named(name) for asked in names for name in (WEIGHTS if asked == ALL else [asked])}
    for name, weights in wanted.items():
        new = [fetch(file, display) for file in weights.files]
        display.say(f"{name}: {'downloaded' if any(new) else 'here already'}, {_where(weights)}")


def _where(weights: Weights) -> str:
    found = {file: find(file) for file in weights.files}
    paths = {file: path for file, path in found.items() if path is not None}
    if len(paths) < len(found):
        return "no" if not paths else f"no: {', '.join(file.name for file in found if file not in paths)} missing"
    damaged = [str(path) for file, path in paths.items() if not intact(path, file)]
    return f"damaged: {', '.join(damaged)}" if damaged else str(paths[weights.files[0]])


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
