"""Files that are written and edited while a test runs."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

CLOCK = itertools.count(time.time_ns(), 10**9)


def write(path: Path, text: str) -> None:
    """Writes a file a second later than the last one: two edits within the file system's tick look like one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    now = next(CLOCK)
    os.utime(path, ns=(now, now))


def append(path: Path, text: str) -> None:
    write(path, path.read_text(encoding="utf-8") + text)
