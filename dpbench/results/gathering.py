"""The leaderboard: one line per trial, read from the trials' folders, and its aggregate over seeds.

The trials' files are the source of truth: everything here is derived from them and can be recomputed at any time.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.files import write_atomic
from dpbench.core.metric import Column
from dpbench.results.row import CI95, FIELDS, IDENTITY, PROTOCOL, column_names, make_row
from dpbench.results.trial_folder import SCORES, TRIAL, TrialFolder

FILE = "leaderboard.csv"

_SPENT = {"epsilon_spent", "epsilon_rdp", "mu", "epsilon_at_1e-5"}
_PER_SEED = {"seed", *_SPENT, "parameters_private", "parameters_total", "queries"}

CONFIGURATION = [f.name for f in IDENTITY + PROTOCOL if f.name not in _PER_SEED]
"""Trials that agree in these columns differ only in their seed."""


def collect(out: Path, metrics: Sequence[Column], datasets: Sequence[str] = ()) -> pd.DataFrame:
    """One line per finished trial in `out`, sorted. A damaged trial is left out, with a warning that names it.

    A trial whose folder was copied counts once, with a warning that names both folders.

    Args:
        out: folder of results.
        metrics: the columns of the known metrics; others that were scored are appended.
        datasets: names of the datasets to keep; all if empty.

    Raises:
        UnknownName: a dataset has no results.
    """
    found: dict[str, list[tuple[Path, Mapping[str, Any]]]] = {}
    for folder in TrialFolder.finished(out):
        try:
            row = _row(folder, *(_stamp(folder.path / name) for name in (TRIAL, SCORES)))
            found.setdefault(row["key"], []).append((folder.path, row))
        except DpbenchError as error:
            warnings.warn(f"left out {folder.path}: {error}", stacklevel=2)
    frame = make_frame([_once(key, same) for key, same in found.items()], metrics)
    for name in datasets:
        if name not in set(frame["dataset"]):
            raise UnknownName("dataset with results", name, set(frame["dataset"]))
    kept = frame[frame["dataset"].isin(datasets)] if datasets else frame
    order = ["dataset", "resolution", "method", "variant", "epsilon", "config", "seed"]
    return kept.sort_values(order, ignore_index=True)


def _once(key: str, same: Sequence[tuple[Path, Mapping[str, Any]]]) -> Mapping[str, Any]:
    """The row of a trial that was found in one or several folders: that of the folder named after the trial's key."""
    (kept, row), *copies = sorted(same, key=lambda found: found[0].name != key)
    for path, _ in copies:
        warnings.warn(f"left out {path}: it is a copy of {kept}, and a trial counts once", stacklevel=3)
    return row


@cache
def _row(folder: TrialFolder, trial: tuple[int, ...], scores: tuple[int, ...]) -> Mapping[str, Any]:
    """The line of a trial; read again when a file has another stamp."""
    record = folder.read()
    assert record is not None
    return make_row(record, folder.read_scores())


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is replaced; () if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def rows_of(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The lines of the trials with these keys, in this order."""
    chosen = frame.drop_duplicates("key").set_index("key", drop=False)
    return chosen.loc[[key for key in keys if key in chosen.index]].reset_index(drop=True)


def make_frame(rows: Sequence[Mapping[str, Any]], metrics: Sequence[Column]) -> pd.DataFrame:
    """A data frame of rows (see `row.make_row`) with all columns, ordered and typed."""
    fields = {f.name: f for f in FIELDS}
    names = column_names(metrics, {name for row in rows for name in row if name not in fields})
    kinds = {"str": "str", "int": "Int64", "float": "float64", "list": "object"}
    frame = pd.DataFrame(list(rows), columns=names)
    return frame.astype({name: kinds[fields[name].type] if name in fields else "float64" for name in names})


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes a frame as CSV, atomically, with unrounded numbers; missing values are empty cells.

    The texts of `notes` are joined by "; ". A text that a spreadsheet would take for a formula begins with an
    apostrophe.

    Raises:
        DpbenchError: the file cannot be written.
    """
    written = frame.assign(notes=frame["notes"].map("; ".join))
    texts = [f.name for f in FIELDS if f.type in ("str", "list") and f.name in frame]
    written = written.assign(**{name: written[name].map(_no_formula, na_action="ignore") for name in texts})
    write_atomic(path, lambda temporary: written.to_csv(temporary, index=False, encoding="utf-8"))


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def aggregate(frame: pd.DataFrame) -> pd.DataFrame:
    """The aggregate over seeds: one line per configuration.

    Each metric's column is its mean over seeds, and its `_ci95` column the half-width of the 95% confidence interval of
    that mean (Student's t); with a single seed, the interval over images is kept. `seeds` is the number of trials.
    """
    metrics = metric_columns(frame)
    numbers = _numbers(frame)
    first = frame[~numbers.duplicated()].reset_index(drop=True)
    seeds, scores = numbers.groupby(numbers).size().to_numpy(), frame[metrics].groupby(numbers)
    over_images = first[[name + CI95 for name in metrics]].to_numpy()
    over_seeds = _half_width(scores.count(), scores.std()).to_numpy()
    intervals = np.where((seeds == 1)[:, None], over_images, over_seeds)
    columns: dict[Any, Any] = {
        "seeds": seeds,
        **scores.mean().reset_index(drop=True),
        **{name + CI95: intervals[:, number] for number, name in enumerate(metrics)},
        "notes": [tuple(dict.fromkeys(chain.from_iterable(notes))) for _, notes in frame["notes"].groupby(numbers)],
    }
    names = [f.name for f in IDENTITY if f.name in CONFIGURATION] + ["seeds"]
    names += [part for name in metrics for part in (name, name + CI95)]
    others = first.drop(columns=[name for name in columns if name in first])
    return pd.concat([others, pd.DataFrame(columns)], axis=1)[[*names, *(f.name for f in PROTOCOL), "notes"]]


def trials_of(frame: pd.DataFrame) -> pd.Series[Any]:
    """The keys of the trials behind each line of `aggregate`, with the same index."""
    return frame["key"].groupby(_numbers(frame)).agg(tuple)


def _numbers(frame: pd.DataFrame) -> pd.Series[int]:
    """The number of the aggregated line that each trial belongs to."""
    return frame.groupby(CONFIGURATION, dropna=False, sort=False).ngroup()


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """The score columns of a frame of trials."""
    fields = {f.name for f in FIELDS}
    return [name for name in frame.columns if name not in fields and not name.endswith(CI95)]


def mean_and_ci95(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95% confidence interval by Student's t; NaN if there are too few values."""
    scores = pd.Series(values, dtype="float64")
    return float(scores.mean()), float(_half_width(len(scores), scores.std()))


def _half_width(n: Any, deviation: Any) -> Any:
    """The half-width of the 95% confidence interval of a mean, by Student's t; NaN for fewer than two values.

    Args:
        n: number of values.
        deviation: their standard deviation; numbers or arrays.
    """
    from scipy.special import stdtrit  # a sixth of the time of importing scipy.stats

    return stdtrit(n - 1, 0.975) * deviation / n**0.5
