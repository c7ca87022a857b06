"""Printing: pages on standard output, one-line errors and warnings on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import dpbench
from dpbench.core.files import finite
from dpbench.core.printable import printable


def replace_unknown_characters() -> None:
    """Makes standard output print "?" for characters that its encoding lacks, such as ε in a pipe on Windows."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def print_page(page: Any) -> None:
    """Prints anything that Rich can render. Control characters are shown escaped."""
    from rich.console import Console

    Console().print(_Printable(page))


def print_json(value: Any) -> None:
    """Prints a JSON value, indented. Infinities and NaN, which JSON lacks, become "inf" and "nan"."""
    print(json.dumps(finite(value), indent=2, ensure_ascii=False, default=str))


def print_lines(lines: Iterable[str]) -> None:
    """Prints lines of text. Control characters are shown escaped."""
    for line in lines:
        print(printable(line))


def complain(what: str, message: object) -> None:
    """Prints a message on one line, prefixed with its kind, e.g. "error" or "warning"."""
    print(f"{what}: {printable(' '.join(str(message).split()))}", file=sys.stderr)


def usage_problem(error: Any) -> str:
    """The message of an error that Typer raises, worded like those of dpbench, with the help that tells more."""
    text = error.format_message().replace("Value error, ", "").replace(". Did you", "; did you").rstrip(".?")
    lowered = re.sub(r"(?:^|: |\()[A-Z](?=[a-z])", lambda found: found[0].lower(), text)
    return f"{lowered}; see `{error.ctx.command_path} --help`" if error.ctx else lowered


class OneLineWarnings:
    """Prints warnings from dpbench and from plugins, each text once and on one line.

    An instance replaces `warnings.showwarning`.
    """

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def __call__(self, message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
        """Shows a warning that was raised in `filename`."""
        # Warnings from other packages do not concern users. Warnings from torch's C++ code name the Python line that
        # called it.
        own = Path(dpbench.__file__).parent in Path(filename).parents or "site-packages" not in filename
        text = str(message)
        if own and "Triggered internally" not in text and text not in self._shown:
            self._shown.add(text)
            complain("warning", text)


class _Printable:
    """A page whose text is made printable, as it may come from outside."""

    def __init__(self, page: Any):
        self._page = page

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.segment import Segment

        for segment in console.render(self._page, options):
            lines = segment.text.split("\n")
            yield segment if segment.control else Segment("\n".join(map(printable, lines)), segment.style)
