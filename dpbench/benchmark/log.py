"""A trial's log.txt: what happened when, kept over all attempts."""

from __future__ import annotations

from pathlib import Path

from dpbench.benchmark.provenance import now
from dpbench.core.files import write_text


class Log:
    """Adds lines to a text file; the file is whole after each.

    Raises:
        DpbenchError: the file cannot be written.
    """

    def __init__(self, path: Path):
        self.path = path
        self._text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def __call__(self, text: str) -> None:
        """Writes `text`, with the time before it."""
        self._text += f"{now()}  {text}\n"
        write_text(self.path, self._text)
