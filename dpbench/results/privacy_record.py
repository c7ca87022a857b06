"""What a dataset has been through: one line per private run, written when its private phase starts (rule R9).

Trials compose. Sweeps, seeds and aborted runs all count, whether or not their results are kept.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dpbench.core.errors import DpbenchError

FILE = "privacy_record.jsonl"


class Record(NamedTuple):
    """How many private runs a dataset has seen, and the sum of their ε (basic composition: the δ add up, too)."""

    runs: int
    epsilon: float


def append(folder: Path, entry: Mapping[str, Any]) -> None:
    """Adds a line, on disk before this returns.

    Args:
        folder: OUT/<dataset>.
        entry: at least "epsilon", "delta", "method", "key" and "date".

    Raises:
        DpbenchError: it cannot be written.
    """
    line = json.dumps(dict(entry), ensure_ascii=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line.encode())  # one write: lines of concurrent processes do not mix
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise DpbenchError(f"cannot write {folder / FILE}: {error.strerror or error}") from error


def read(folder: Path) -> Record:
    """What the record of OUT/<dataset> adds up to; a damaged line counts as a run, with a warning."""
    path = folder / FILE
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    epsilon = 0.0
    for number, line in enumerate(lines, start=1):
        try:
            epsilon += float(json.loads(line)["epsilon"])
        except (ValueError, KeyError, TypeError):
            warnings.warn(f"line {number} of {path} is damaged; its ε is missing from the sum", stacklevel=2)
    return Record(len(lines), epsilon)
