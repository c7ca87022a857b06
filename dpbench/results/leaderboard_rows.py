"""The leaderboard: one line per trial, read from the trials' folders.

The trials' files are the source of truth: everything here is derived from them, and can be recomputed at any time.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dpbench.core.counted import counted
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.files import write_atomic
from dpbench.core.metric import Column
from dpbench.results.metric_columns import known_columns
from dpbench.results.row import FIELDS, PLACES, column_names, make_row
from dpbench.results.row_index import RowIndex, Stamps, stamps_of
from dpbench.results.trial_folder import TrialFolder

FILE = "leaderboard.csv"


def collect(outs: Path | Sequence[Path], datasets: Sequence[str] = ()) -> pd.DataFrame:
    """One line per finished trial, sorted, with the trial's folder. A damaged trial is left out, with a warning.

    The columns of all metrics that can be imported come first, then other columns with scores.

    A trial that is found twice counts once. A copy of its folder is left out, with a warning that names both. Trials
    that a folder of results shares with an earlier one are left out, with a warning that gives their number.

    Args:
        outs: folder of results, or several whose rows are merged.
        datasets: names of the datasets to keep; all if empty.

    Raises:
        UnknownName: a dataset has no results.
    """
    folders, metrics = [outs] if isinstance(outs, Path) else list(dict.fromkeys(outs)), known_columns()
    frame = _merged([_once(_rows_of(out, metrics)) for out in folders], folders, metrics)
    for name in datasets:
        if name not in set(frame["dataset"]):
            raise UnknownName("dataset with results", name, set(frame["dataset"]))
    kept = frame[frame["dataset"].isin(datasets)] if datasets else frame
    order = ["dataset", "resolution", "method", "variant", "epsilon", "config", "seed"]
    return kept.sort_values(order, ignore_index=True)


def _rows_of(out: Path, metrics: Sequence[Column]) -> pd.DataFrame:
    """The rows of all finished trials below a folder; those with unchanged files come from the index."""
    index = RowIndex.of(out)
    now = stamps_of(out)
    known = index.unchanged(now)
    read: list[dict[str, Any]] = []
    have = set(known["folder"])
    for name in (name for name in now if name not in have):
        folder = TrialFolder(out / name)
        try:
            read.append(_read(folder) | {"folder": name})
        except DpbenchError as error:
            warnings.warn(f"left out {folder.path}: {error}", stacklevel=3)
    frame = known if len(known) and not read else _joined([known, make_frame(read, metrics)], metrics)
    names = [] if frame.empty else frame["folder"].tolist()
    stamps: Stamps = {name: now[name] for name in names}
    if stamps != index.stamps:
        index.store(frame, stamps)
    return _joined([frame], metrics).assign(folder=[f"{out}/{name}" for name in names])


def _read(folder: TrialFolder) -> dict[str, Any]:
    """The line of a trial, with the names of the scores with stored per-image outcomes."""
    record = folder.read_sampled()
    scores = folder.read_scores()
    return make_row(record, scores) | {"outcomes": " ".join(folder.read_scores(all_columns=True).outcomes)}


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows without copies: for each key, the row of the folder named after it, or else the first row."""
    if frame["key"].is_unique:
        return frame
    by_folder = frame.sort_values("folder", kind="stable")
    is_home = by_folder["folder"].map(lambda folder: Path(folder).name) == by_folder["key"]
    ordered = pd.concat([by_folder[is_home], by_folder[~is_home]])
    copies, kept = ordered[ordered.duplicated("key")], ordered.drop_duplicates("key")
    homes = kept.set_index("key")["folder"]
    for _, copy in copies.iterrows():
        warnings.warn(
            f"left out {copy['folder']}: it is a copy of {homes[copy['key']]}, and a trial counts once", stacklevel=3
        )
    return kept


def _merged(frames: Sequence[pd.DataFrame], outs: Sequence[Path], metrics: Sequence[Column]) -> pd.DataFrame:
    """The rows of several folders of results, each trial once."""
    seen: set[str] = set()
    kept = []
    for frame, out in zip(frames, outs, strict=True):
        known = frame["key"].isin(seen)
        if count := int(known.sum()):
            warnings.warn(
                f"left out {counted(count, 'trial')} of {out} that an earlier folder also has: a trial counts once",
                stacklevel=3,
            )
        kept.append(frame[~known])
        seen.update(frame["key"])
    return kept[0] if len(kept) == 1 else _joined(kept, metrics)


def _joined(frames: Sequence[pd.DataFrame], metrics: Sequence[Column]) -> pd.DataFrame:
    """Concatenated frames, with the columns of all."""
    names = _columns_of(metrics, {name for frame in frames for name in frame.columns})
    filled = [frame for frame in frames if len(frame)] or frames[-1:]
    joined = pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0]
    return joined if list(joined.columns) == names else joined.reindex(columns=names)


def rows_of(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The lines of the trials with these keys, in this order."""
    chosen = frame.drop_duplicates("key").set_index("key", drop=False)
    return chosen.loc[[key for key in keys if key in chosen.index]].reset_index(drop=True)


def make_frame(rows: Sequence[Mapping[str, Any]], metrics: Sequence[Column]) -> pd.DataFrame:
    """A data frame of rows (see `row.make_row`) with all columns, ordered and typed."""
    names = _columns_of(metrics, {name for row in rows for name in row})
    kinds = {"str": "str", "int": "Int64", "float": "float64", "list": "object"}
    types = {f.name: kinds[f.type] for f in FIELDS} | dict.fromkeys(PLACES, "str")
    frame = pd.DataFrame(list(rows), columns=names)
    return frame.astype({name: types.get(name, "float64") for name in names})


def _columns_of(metrics: Sequence[Column], found: set[str]) -> list[str]:
    """All columns in order; the columns on a trial's location come last, if they are known."""
    known = {f.name for f in FIELDS}
    scored = {name for name in found if name not in known and name not in PLACES}
    return [*column_names(metrics, scored), *(name for name in PLACES if name in found)]


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes a frame as CSV, atomically, with unrounded numbers; missing values are empty cells.

    The texts of `notes` are joined by "; ". A text that a spreadsheet would take for a formula begins with an
    apostrophe. The trials' folders are left out.

    Raises:
        DpbenchError: the file cannot be written.
    """
    written = frame.drop(columns=[name for name in PLACES if name in frame])
    written = written.assign(notes=written["notes"].map("; ".join))
    texts = [f.name for f in FIELDS if f.type in ("str", "list") and f.name in written]
    written = written.assign(**{name: written[name].map(_no_formula, na_action="ignore") for name in texts})
    objects = written.astype(object)  # written in two thirds of the time of typed columns
    write_atomic(path, lambda temporary: objects.to_csv(temporary, index=False, encoding="utf-8"))


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
