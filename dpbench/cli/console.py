"""What a command prints: pages on standard output, complaints of one line on standard error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dpbench


def print_page(page: Any) -> None:
    """Prints what Rich can render."""
    from rich.console import Console

    Console().print(page)


def complain(what: str, message: object) -> None:
    """Prints a message as one line, led by what it is: error, warning."""
    print(f"{what}: {' '.join(str(message).split())}", file=sys.stderr)


def show_warning(message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object) -> None:
    """Complains of what dpbench or a plugin warns of; stands in for `warnings.showwarning`."""
    # Other packages' warnings are not for whoever runs a benchmark; torch's C++ ones name the Python line that called.
    own = Path(dpbench.__file__).parent in Path(filename).parents or "site-packages" not in filename
    if own and "Triggered internally" not in str(message):
        complain("warning", message)
