"""An index of rows that were read before, in the user's cache folder: thousands of trials need not be read each time.

The index is derived from the trials' files. A row is valid as long as its files have the same stamps and the code that
makes rows is the same. Losing the index costs only time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from dpbench.core.closure import code_hash
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest, is_there, write_atomic
from dpbench.core.folders import cache_folder
from dpbench.results import row
from dpbench.results.trial_folder import SCORES, SENSITIVE, TRIAL

Stamps = dict[str, list[int]]
"""Path of a trial's folder below the folder of results -> numbers that change when its files change."""

FOLDER = "rows"
"""Folder of the indexes, in the user's cache folder."""


@dataclass(frozen=True)
class RowIndex:
    """The rows of one folder of results, as last read.

    Attributes:
        path: the index.
        stamps: the stamps of its trials.
        rows: one line per trial; see `leaderboard_rows.make_frame`. `folder` is the path below the folder of results.
    """

    path: Path
    stamps: Stamps
    rows: pd.DataFrame

    @classmethod
    def of(cls, out: Path) -> RowIndex:
        """The index of a folder of results; an empty one if it is absent or damaged, or the code has changed."""
        path = cache_folder() / FOLDER / f"{digest([str(out.resolve()), code_hash(row)])}.npz"
        try:
            with np.load(path) as stored:  # no pickles
                stamps, rows = _unpacked(stored)
        except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, BadZipFile):
            stamps, rows = {}, pd.DataFrame({"folder": pd.Series(dtype="str")})
        return cls(path, stamps, rows)

    def unchanged(self, now: Mapping[str, list[int]]) -> pd.DataFrame:
        """The rows of the trials whose files have these stamps."""
        if self.stamps == now:
            return self.rows
        same = np.array([self.stamps[name] == now.get(name) for name in self.rows["folder"]], bool)
        return self.rows.loc[same].reset_index(drop=True)

    def store(self, rows: pd.DataFrame, stamps: Stamps) -> None:
        """Replaces the index, if its folder can be written."""
        with suppress(DpbenchError):
            write_atomic(self.path, lambda temporary: np.savez(temporary, **_packed(rows, stamps)))


def stamps_of(out: Path) -> Stamps:
    """ "<dataset>/<method>/<key>" of each finished trial below `out`, sorted -> its stamp.

    The stamp is the inode, the modification time in nanoseconds and the size of trial.json and scores.json; a file that
    is missing or unreadable has none.
    """
    found = {}
    for name in sorted(name for dataset in _folders(out) for method in _folders(out, dataset)
                       for name in _folders(out, method)):  # fmt: skip
        trial = _stamp(f"{out}/{name}/{TRIAL}")
        if trial or is_there(out / name / TRIAL):
            scores = (_stamp(f"{out}/{name}/{place}") for place in (SCORES, f"{SENSITIVE}/{SCORES}"))
            found[name] = [*trial, *chain.from_iterable(scores)]
    return found


def _folders(out: Path, name: str = "") -> list[str]:
    """The folders in a folder of results, or in one of its folders, as paths below `out`."""
    prefix = f"{name}/" if name else ""
    with suppress(OSError), os.scandir(out / name) as entries:
        return [prefix + entry.name for entry in entries if entry.is_dir()]
    return []


def _stamp(path: str) -> tuple[int, ...]:
    """Numbers that change when a file is replaced; () if there is no file."""
    try:
        stat = os.stat(path)
    except OSError:
        return ()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _packed(rows: pd.DataFrame, stamps: Stamps) -> dict[str, Any]:
    """A frame as arrays: numbers as they are, and each text once, because rows share most of their texts."""
    numbers = [name for name in rows if rows[name].dtype == "float64"]
    integers = [name for name in rows if rows[name].dtype == "Int64"]
    texts = [name for name in rows if name not in numbers + integers]
    codes, unique = [], []
    for name in texts:
        lists = name == "notes"
        each, known = pd.factorize(rows[name].map(_as_text) if lists else rows[name])
        codes.append(each)
        unique.append(list(known))
    heading = {
        "columns": list(rows), "numbers": numbers, "integers": integers, "texts": texts, "unique": unique,
        "folders": list(stamps), "stamps": list(stamps.values()),
    }  # fmt: skip
    return {
        "heading": np.frombuffer(json.dumps(heading).encode(), np.uint8),
        "numbers": rows[numbers].to_numpy("float64"),
        "integers": rows[integers].astype("Int64").to_numpy("int64", na_value=0),
        "missing": rows[integers].isna().to_numpy(),
        "codes": np.array(codes, np.int32),
    }


def _unpacked(stored: Mapping[str, Any]) -> tuple[Stamps, pd.DataFrame]:
    heading = json.loads(stored["heading"].tobytes())
    columns: dict[str, Any] = dict(zip(heading["numbers"], stored["numbers"].T, strict=True))
    for name, values, missing in zip(heading["integers"], stored["integers"].T, stored["missing"].T, strict=True):
        columns[name] = pd.arrays.IntegerArray(values.copy(), missing.copy())
    for name, codes, unique in zip(heading["texts"], stored["codes"], heading["unique"], strict=True):
        if name == "notes":
            known = np.empty(len(unique), object)
            known[:] = [tuple(json.loads(text)) for text in unique]
            columns[name] = pd.Series(known[codes], dtype="object")
        else:
            columns[name] = pd.Series(np.array(unique, object)[codes], dtype="str")
    rows = pd.DataFrame(columns)[heading["columns"]]
    return cast(Stamps, dict(zip(heading["folders"], heading["stamps"], strict=True))), rows


def _as_text(notes: tuple[str, ...]) -> str:
    return json.dumps(notes)
