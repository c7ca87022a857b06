"""Tables of comparable rows: those of one dataset, resolution and number of images. Others are not comparable."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from dpbench.core.variants import titled
from dpbench.results.over_seeds import aggregate, trials_of

SAME_TABLE = ["dataset", "dataset_fingerprint", "resolution"]
COUNTS = ["n_samples", "n_reference"]

SERIES = ("preset", "track", "public_source", "pretrained", "method_version")
"""Columns that tell lines with the same title apart in a figure, if they differ."""

ORDER = {"real": 0, "nonprivate": 1, "": 2, "external": 2, "public": 3}
"""Order of rows: the upper references (real, non-private) above the private rows, the public reference below."""


def tables_of(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The lines of each table; see `over_seeds.aggregate`. `trials` has the folders of each line's trials.

    A `real` row is in the table of the rows that it is a reference for, if there are any.

    Args:
        rows: one line per trial; see `leaderboard_rows.collect`.
    """
    if rows.empty:
        return []
    lines = aggregate(rows).assign(trials=trials_of(rows))
    keys = lines[SAME_TABLE + COUNTS].copy()
    for index, real in lines[lines["reference"] == "real"].iterrows():
        asked = json.loads(real["config"]).get("samples")
        others = keys[(lines["reference"] != "real") & (keys["n_samples"] == asked)]
        same = others[(others[SAME_TABLE] == real[SAME_TABLE]).all(axis=1)]
        if not same.empty:
            keys.loc[index, COUNTS] = same[COUNTS].iloc[0]
    return [group for _, group in lines.groupby([keys[name] for name in keys], dropna=False, sort=False)]


def heading_of(table: pd.DataFrame) -> str:
    """The heading for all lines of a table: "mnist, 28×28 · 10,000 samples against 10,000 real images"."""
    dataset, _, resolution = table[SAME_TABLE].iloc[0]
    first = int((table["reference"] == "real").to_numpy().argmin())  # a row of generated images, if there is one
    samples, real = table[COUNTS].iloc[first]
    images = "" if pd.isna(samples) else f" · {samples:,} samples against {real:,} real images"
    return f"{dataset}, {resolution}×{resolution}{images}"


def marks_of(line: pd.Series[Any]) -> list[str]:
    """The marks beside a line's name: a reference, unverified accounting, reproducible noise."""
    marks = [str(line["reference"])] if line["reference"] in ("public", "nonprivate", "external") else []
    marks += ["UNVERIFIED"] if line["accounting"] == "unverified" else []
    return marks + (["reproducible noise"] if line["noise"] == "reproducible" else [])


def series_of(table: pd.DataFrame) -> list[str]:
    """The name of each line's series in a figure: its title, and its differences from other series with that title.

    Lines of one series differ in ε. The public and the non-private reference of a method belong to its series.
    """
    trained = table[~table["reference"].isin(["real", "public"])]
    kinds = trained.groupby(["method", "variant"])[list(SERIES)].nunique()
    names = []
    for _, line in table.iterrows():
        title, key = titled(line["method"], line["variant"]), (line["method"], line["variant"])
        apart = [str(line[name]) for name in SERIES if key in kinds.index and kinds.loc[key, name] > 1 and line[name]]
        names.append(f"{title} ({', '.join(apart)})" if apart else title)
    return names
