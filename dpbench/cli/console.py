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


def show_warning(message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object) -> None:
    """Prints warnings of dpbench and of plugins in one line; a replacement for `warnings.showwarning`."""
    # Warnings of other packages do not concern users. Those of torch's C++ code name the Python line that called it.
    own = Path(dpbench.__file__).parent in Path(filename).parents or "site-packages" not in filename
    if own and "Triggered internally" not in str(message):
        complain("warning", message)
