"""Rows averaged over seeds: one line per configuration, with intervals, and the trials behind each line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpbench.results.joint_protocol import JointProtocol, joint_protocol, real_images
from dpbench.results.row import CI95, COSTS, FIELDS, IDENTITY, PLACES, PROTOCOL

_SPENT = {"epsilon_spent", "epsilon_rdp", "mu", "epsilon_at_1e-5"}
_PER_SEED = {"seed", *_SPENT, "public_choice", "parameters_private", "parameters_total", "queries"}

CONFIGURATION = [*(f.name for f in IDENTITY if f.name not in _PER_SEED), "n_samples", "n_reference"]
"""Trials that agree in these columns, and in the real images that they were compared with, differ only in the seed."""

OVER_SEEDS, OVER_IMAGES = "seeds", "images"
"""The variation that an interval covers: several trials, or the images (and classifier runs) of a single one."""


def aggregate(frame: pd.DataFrame) -> pd.DataFrame:
    """The aggregate over seeds: one line per configuration.

    Each metric's column is its mean over seeds, and its `_ci95` column is the half-width of the 95% confidence interval
    of that mean (Student's t). With a single seed, the interval over images is kept, and `interval` says so. `seeds` is
    the number of trials. A score that some trials lack has no mean, nor has one under different protocols, and a note
    says so. `extractor` and `protocol` have the entries of all trials. Seconds and memory are also means.
    """
    metrics = score_columns(frame)
    numbers = _numbers(frame)
    first = frame[~numbers.duplicated()].reset_index(drop=True)
    seeds, scores = numbers.groupby(numbers).size().to_numpy(), frame[metrics].groupby(numbers)
    counts = scores.count().to_numpy()
    joint = _joint_protocols(frame, numbers)
    apart = _columns_apart(joint, metrics, len(first))
    whole = (counts == seeds[:, None]) & ~apart
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
        "extractor": [joint[n].extractor if n in joint else text for n, text in enumerate(first["extractor"])],
        "protocol": [joint[n].protocol if n in joint else text for n, text in enumerate(first["protocol"])],
        **frame[COSTS].astype("float64").groupby(numbers).mean().reset_index(drop=True),
        "notes": [
            own + _without_mean(metrics, line, differ, n)
            for own, line, differ, n in zip(notes, counts.tolist(), apart.tolist(), seeds.tolist(), strict=True)
        ],
    }
    names = [f.name for f in IDENTITY if f.name in CONFIGURATION] + ["seeds", "interval"]
    names += [part for name in metrics for part in (name, name + CI95)]
    others = first.drop(columns=[name for name in columns if name in first])
    return pd.concat([others, pd.DataFrame(columns)], axis=1)[[*names, *(f.name for f in PROTOCOL), *COSTS, "notes"]]


def _joint_protocols(frame: pd.DataFrame, numbers: pd.Series[int]) -> dict[int, JointProtocol]:
    """The number of each line whose trials differ in their protocols -> the joint protocol."""
    different = (frame[["extractor", "protocol"]].groupby(numbers).nunique() > 1).any(axis=1)
    return {int(n): joint_protocol(frame[numbers == n]) for n in different.index[different]}


def _columns_apart(joint: Mapping[int, JointProtocol], metrics: Sequence[str], lines: int) -> NDArray[np.bool_]:
    """[lines, metrics]: whether the trials' scores are under different protocols."""
    apart = np.zeros((lines, len(metrics)), bool)
    for number, protocol in joint.items():
        if protocol.apart:
            apart[number] = np.isin(metrics, [*protocol.columns_apart(metrics)])
    return apart


def _without_mean(metrics: Sequence[str], counts: Sequence[int], apart: Sequence[bool], seeds: int) -> tuple[str, ...]:
    """One note per reason why scores of a line have no mean: "fid, kid: no mean, as only 2 of 3 seeds ..."."""
    found: dict[str, list[str]] = {}
    for name, count, differ in zip(metrics, counts, apart, strict=True):
        if differ and count:
            found.setdefault("its protocol differs between seeds", []).append(name)
        elif 0 < count < seeds:
            found.setdefault(f"only {count} of {seeds} seeds have a value", []).append(name)
    return tuple(f"{', '.join(names)}: no mean, as {reason}" for reason, names in found.items())


def trials_of(frame: pd.DataFrame) -> pd.Series[Any]:
    """The folders of the trials behind each line of `aggregate`, as a tuple; with the same index."""
    return frame["folder"].groupby(_numbers(frame)).agg(tuple)


def _numbers(frame: pd.DataFrame) -> pd.Series[int]:
    """The number of each trial's aggregated line."""
    return frame.groupby([*CONFIGURATION, real_images(frame["protocol"])], dropna=False, sort=False).ngroup()


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
