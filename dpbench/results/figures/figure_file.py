"""Figures as PNG, SVG or PDF files, with text kept as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
DPI = 300


def check_format(path: Path) -> None:
    """Checks that a figure can be written to a file of that name.

    Raises:
        DpbenchError: its suffix is not a known format.
    """
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        raise DpbenchError(f"{path}: give a .png, .svg or .pdf file")


def write_figure(figure: Figure, path: Path) -> None:
    """Writes a figure atomically. The same figure always gives the same file.

    Args:
        figure: a matplotlib figure.
        path: see `check_format`.

    Raises:
        DpbenchError: the file cannot be written.
    """
    import matplotlib

    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    metadata = dates.get(path.suffix.lower().removeprefix("."))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dpbench", "pdf.fonttype": 42}):
        write_atomic(path, lambda temporary: figure.savefig(temporary, dpi=DPI, bbox_inches="tight", metadata=metadata))
