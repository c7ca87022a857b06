"""The privacy record: one line per private run on a dataset, written when its private phase starts (rule R9).

Trials compose. Sweeps, seeds and aborted runs all count, whether or not their results are kept, wherever the results
are, and whatever name the dataset had. The record is therefore stored per user, not with the results, in one file per
content of train: STATE/records/<keyed hash>.jsonl.
"""

from __future__ import annotations

import errno
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock

from dpbench.core.counted import counted
from dpbench.core.errors import RunError
from dpbench.core.files import is_there, reading

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "records"
"""Folder of the records, in the user's state folder."""


class Record(NamedTuple):
    """A summary of the private runs on one dataset.

    Attributes:
        runs: number of private runs.
        epsilon: the sum of their ε (basic composition; their δ add up as well).
        keys: the keys of their trials.
    """

    runs: int = 0
    epsilon: float = 0.0
    keys: frozenset[str] = frozenset()


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Appends the line of a run, unless the file has it, and flushes it to disk before returning.

    One process at a time does so: network file systems may lose a line if two processes append at once.

    Args:
        path: the dataset's record file.
        entry: the run, with at least "epsilon", "delta", "method", "key", "fingerprint", "run" and "date".

    Raises:
        RunError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not holds(path, entry["run"]):
                _append(path, json.dumps(dict(entry)) + "\n")
    except (OSError, NotImplementedError) as error:  # NotImplementedError: the file system has no locks
        raise RunError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


def _append(path: Path, line: str) -> None:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        data = f"\n{line}".encode() if _ends_in_a_broken_line(handle) else line.encode()
        if os.write(handle, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    finally:
        os.close(handle)


def _ends_in_a_broken_line(handle: int) -> bool:
    """Whether the last line of an open file was cut off, e.g. by a power failure."""
    end = os.lseek(handle, 0, os.SEEK_END)
    if end == 0:
        return False
    os.lseek(handle, end - 1, os.SEEK_SET)
    return os.read(handle, 1) != b"\n"


def holds(path: Path, run: str) -> bool:
    """Whether the file has the line of a run."""
    return any(entry.get("run") == run for entry in _entries(path))


def check(path: Path, run: str) -> None:
    """Checks that a run is still in the record.

    Raises:
        RunError: it is missing.
    """
    if not holds(path, run):
        raise RunError(
            f"the privacy record {path} lost this run while it was running, so it gets no row; restore the file if you "
            "can, and run the same command again: it continues from its checkpoints, and the run is recorded again"
        )


def of_fingerprint(folder: Path, fingerprint: str) -> Record:
    """The record of all runs on the images of a row's dataset, at any resolution.

    Args:
        folder: folder of the record files.
        fingerprint: the row's fingerprint of train.
    """
    files = [list(_entries(path)) for path in sorted(folder.glob("*.jsonl"))]
    known = [entries for entries in files if any(entry.get("fingerprint") == fingerprint for entry in entries)]
    runs = [entry for entries in known for entry in entries]
    keys = frozenset(str(entry["key"]) for entry in runs if "key" in entry)
    return Record(len(runs), sum(float(entry.get("epsilon", 0)) for entry in runs), keys)


def lines_about(dataset: str, record: Record, private: pd.DataFrame) -> Iterator[tuple[str, bool]]:
    """(text, whether it is a warning): the record of a dataset, and whether private rows are missing from it.

    Args:
        dataset: the dataset's name.
        record: its privacy record.
        private: the private rows on it.
    """
    if record.runs:
        unbounded = int((private["accounting"] == "unverified").sum())
        beside = f", plus {unbounded} unverified without a bound" if unbounded else ""
        runs = counted(record.runs, "private run")
        yield f"privacy record of {dataset}: {runs} so far, Σε = {record.epsilon:g}{beside}", False
    if unknown := len({*private["key"]} - record.keys):
        yield (
            f"{counted(len(private), 'private row')} on {dataset}, but the record on this machine lacks {unknown} of "
            "their runs: they ran elsewhere, or the record was lost",
            True,
        )


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file. A damaged line counts as a run with unknown ε, with a warning."""
    with reading(path):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if is_there(path) else []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            if not math.isfinite(float(entry["epsilon"])):
                raise ValueError
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            warnings.warn(f"line {number} of {path} is damaged; its ε is missing from the sum", stacklevel=2)
            entry = {}
        yield entry
