"""Printing: pages on standard output, one-line errors and warnings on standard error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dpbench


def print_page(page: Any) -> None:
    """Prints anything that Rich can render."""
    from rich.console import Console

    Console().print(page)


def complain(what: str, message: object) -> None:
    """Prints a message in one line after its kind, e.g. "error" or "warning"."""
    print(f"{what}: {' '.join(str(message).split())}", file=sys.stderr)


class OneLineWarnings:
    """Prints warnings of dpbench and of plugins, each text once and in one line.

    An instance replaces `warnings.showwarning`.
    """

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def __call__(self, message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
        """Shows a warning that comes from a line of `filename`."""
        # Warnings of other packages do not concern users. Those of torch's C++ code name the Python line that
        # called it.
        own = Path(dpbench.__file__).parent in Path(filename).parents or "site-packages" not in filename
        text = str(message)
        if own and "Triggered internally" not in text and text not in self._shown:
            self._shown.add(text)
            complain("warning", text)
