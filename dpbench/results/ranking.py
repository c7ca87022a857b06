"""Ranks: the rows that are significantly better than others, among comparable rows."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpbench.core.errors import DpbenchError
from dpbench.core.metric import Column
from dpbench.core.outcomes import Measured, significantly_better
from dpbench.results.row import CI95, read_protocol
from dpbench.results.trial_folder import TrialFolder

COMPARABLE = [
    *("dataset", "dataset_fingerprint", "resolution", "n_train", "epsilon", "delta", "track"),
    *("n_samples", "n_reference"),
]
"""Rows are ranked against each other only if they agree in these columns and in the protocol of the ranking metric."""


def rank(
    aggregated: pd.DataFrame, by: Column, metric: str, outcomes: Mapping[Any, Measured] | None = None
) -> pd.Series[int]:
    """The rank of each line by one column within the lines comparable to it; missing if not ranked.

    The rank is 1 + the number of lines that are significantly better, at 95% for each pair: lines that cannot be told
    apart share a rank. Two lines with `outcomes` are compared on the same test images. Other lines differ if their
    difference is larger than the root of the sum of their squared intervals; lines without an interval count as exact.

    Reference rows, unverified accounting, reproducible noise and lines without a score are not ranked.

    Args:
        aggregated: lines of `over_seeds.aggregate`.
        by: the column to rank by; it has a direction.
        metric: name of the metric that fills the column; only lines with the same protocol for it are comparable.
        outcomes: index of a line -> its per-image outcomes; see `read_outcomes`.
    """
    rankable = (
        (aggregated["reference"] == "")
        & (aggregated["accounting"] == "verified")
        & (aggregated["noise"] == "secret")
        & aggregated[by.name].notna()
    )
    terms = comparable_terms(aggregated, metric)[rankable]
    found = pd.Series(pd.NA, aggregated.index, dtype="Int64")
    for _, lines in aggregated[rankable].groupby([terms[name] for name in terms], dropna=False):
        found[lines.index] = 1 + _better(lines, by, outcomes or {}).sum(0)
    return found


def _better(lines: pd.DataFrame, by: Column, outcomes: Mapping[Any, Measured]) -> NDArray[np.bool_]:
    """[m, m]: whether the first line is significantly better than the second."""
    sign = 1 if by.better == "high" else -1
    values, half = sign * lines[by.name].to_numpy(), lines[by.name + CI95].fillna(0).to_numpy()
    better: NDArray[np.bool_] = values[:, None] - values > np.hypot(half[:, None], half)
    paired = [number for number, index in enumerate(lines.index) if index in outcomes]
    if len(paired) > 1:
        above = significantly_better([outcomes[lines.index[number]] for number in paired])
        better[np.ix_(paired, paired)] = above if by.better == "high" else above.T
    return better


def read_outcomes(rows: pd.DataFrame, lines: pd.DataFrame, by: Column) -> dict[Any, Measured]:
    """Index of a line -> its per-image outcomes, for lines with all trials' outcomes stored.

    For a line of one trial, these are the runs of its classifiers; for a line of several trials, the trials' means.

    Args:
        rows: the rows of `leaderboard_rows.collect`.
        lines: the lines of `over_seeds.aggregate`, with the folders of their `trials`; see `over_seeds.trials_of`.
        by: the column.
    """
    having = {
        folder for folder, names in zip(rows["folder"], rows["outcomes"], strict=True) if by.name in names.split()
    }
    found = {}
    for index, line in lines[lines["reference"] == ""].iterrows() if having else ():
        folders = [TrialFolder(Path(folder)) for folder in line["trials"] if folder in having]
        stored = [
            outcomes for folder in folders if (outcomes := _stored(folder, by.name, line["n_reference"])) is not None
        ]
        if len(stored) == len(line["trials"]):
            several = len(stored) > 1
            measured = Measured(np.stack([each.mean((0, 1)) for each in stored])[None] if several else stored[0])
            if math.isclose(measured.value, line[by.name]):  # else the scores were edited
                found[index] = measured
    return found


def _stored(folder: TrialFolder, column: str, images: int) -> NDArray[np.bool_] | None:
    """A trial's outcomes for a column; None if there are none, or if they have another number of images."""
    try:
        packed = folder.read_scores(all_columns=True).outcomes.get(column)
        return packed.unpacked() if packed is not None and packed.shape[2] == images else None
    except DpbenchError as error:
        warnings.warn(f"ranked without the per-image outcomes of {folder.path}: {error}", stacklevel=2)
        return None


def ranked_apart(lines: pd.DataFrame, metric: str) -> list[tuple[str, ...]]:
    """Per line, why it is not ranked against most others of its dataset, ε and track; () if it is, or has no rank.

    Args:
        lines: the lines of one dataset and resolution, with `rank`.
        metric: as for `rank`.
    """
    terms = comparable_terms(lines, metric).astype("str")[lines["rank"].notna()]  # as texts, NaN equals NaN
    reasons: dict[Any, tuple[str, ...]] = {}
    for _, group in terms.groupby(["epsilon", "track"]):
        each = list(group.itertuples(index=False, name=None))
        ((usual, _),) = Counter(each).most_common(1)
        for index, own in zip(group.index, each, strict=True):
            other = [str(name) for name, value, expected in zip(group, own, usual, strict=True) if value != expected]
            reasons[index] = (f"ranked apart: other {', '.join(other)}",) if other else ()
    return [reasons.get(index, ()) for index in lines.index]


def comparable_terms(aggregated: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Per line, the values that must agree for a rank by a metric: name -> value."""
    protocols = aggregated["protocol"].map(read_protocol)
    agreed = {"real images": "reference", f"protocol of {metric}": metric}
    terms = {
        name: protocols.map(lambda entries, part=part: entries.get(part, "")).astype("str")
        for name, part in agreed.items()
    }
    return aggregated[COMPARABLE].assign(**terms)
