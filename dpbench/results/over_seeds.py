"""Rows averaged over seeds: one line per configuration, with intervals, and the trials behind each line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from dpbench.results.row import CI95, COSTS, FIELDS, IDENTITY, PLACES, PROTOCOL

_SPENT = {"epsilon_spent", "epsilon_rdp", "mu", "epsilon_at_1e-5"}
_PER_SEED = {"seed", *_SPENT, "parameters_private", "parameters_total", "queries"}

CONFIGURATION = [f.name for f in IDENTITY + PROTOCOL if f.name not in _PER_SEED]
"""Trials that agree in these columns differ only in their seed."""

OVER_SEEDS, OVER_IMAGES = "seeds", "images"
"""The variation that an interval covers: several trials, or the images (and classifier runs) of a single one."""


def aggregate(frame: pd.DataFrame) -> pd.DataFrame:
    """The aggregate over seeds: one line per configuration.

    Each metric's column is its mean over seeds, and its `_ci95` column is the half-width of the 95% confidence interval
    of that mean (Student's t). With a single seed, the interval over images is kept, and `interval` says so. `seeds` is
    the number of trials. A score that some trials lack has no mean, and a note says so. Seconds and memory are also
    means.
    """
    metrics = score_columns(frame)
    numbers = _numbers(frame)
    first = frame[~numbers.duplicated()].reset_index(drop=True)
    seeds, scores = numbers.groupby(numbers).size().to_numpy(), frame[metrics].groupby(numbers)
    counts = scores.count().to_numpy()
    whole = counts == seeds[:, None]
    over_images = first[[name + CI95 for name in metrics]].to_numpy()
    over_seeds = _half_width(seeds[:, None], scores.std().to_numpy())
    intervals = np.where(whole, np.where((seeds == 1)[:, None], over_images, over_seeds), np.nan)
    means = np.where(whole, scores.mean().to_numpy(), np.nan)
    notes = [tuple(dict.fromkeys(chain.from_iterable(group))) for _, group in frame["notes"].groupby(numbers)]
    columns: dict[Any, Any] = {
        "seeds": seeds,
        "interval": np.where(seeds > 1, OVER_SEEDS, OVER_IMAGES),
        **{name: means[:, number] for number, name in enumerate(metrics)},
        **{name + CI95: intervals[:, number] for number, name in enumerate(metrics)},
        **frame[COSTS].astype("float64").groupby(numbers).mean().reset_index(drop=True),
        "notes": [
            own + _incomplete(metrics, line, n)
            for own, line, n in zip(notes, counts.tolist(), seeds.tolist(), strict=True)
        ],
    }
    names = [f.name for f in IDENTITY if f.name in CONFIGURATION] + ["seeds", "interval"]
    names += [part for name in metrics for part in (name, name + CI95)]
    others = first.drop(columns=[name for name in columns if name in first])
    return pd.concat([others, pd.DataFrame(columns)], axis=1)[[*names, *(f.name for f in PROTOCOL), *COSTS, "notes"]]


def _incomplete(metrics: Sequence[str], counts: Sequence[int], seeds: int) -> tuple[str, ...]:
    """One note per number of trials with a score, if other trials lack it: "fid, kid: no mean, 2 of 3 seeds ..."."""
    found: dict[int, list[str]] = {}
    for name, count in zip(metrics, counts, strict=True):
        if 0 < count < seeds:
            found.setdefault(int(count), []).append(name)
    return tuple(
        f"{', '.join(names)}: no mean, as only {n} of {seeds} seeds have a value" for n, names in found.items()
    )


def trials_of(frame: pd.DataFrame) -> pd.Series[Any]:
    """The folders of the trials behind each line of `aggregate`, as a tuple; with the same index."""
    return frame["folder"].groupby(_numbers(frame)).agg(tuple)


def _numbers(frame: pd.DataFrame) -> pd.Series[int]:
    """The number of each trial's aggregated line."""
    return frame.groupby(CONFIGURATION, dropna=False, sort=False).ngroup()


def score_columns(frame: pd.DataFrame) -> list[str]:
    """The score columns of a frame of trials."""
    others = {*(f.name for f in FIELDS), *PLACES}
    return [name for name in frame.columns if name not in others and not name.endswith(CI95)]


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
    from scipy.special import stdtrit  # imports in a sixth of the time of scipy.stats

    return stdtrit(n - 1, 0.975) * deviation / n**0.5
