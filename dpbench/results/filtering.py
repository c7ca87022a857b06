"""Filters on the rows of the leaderboard. Reference rows stay: scores cannot be interpreted without them (rule R8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.variants import titled


def keep_rows(
    rows: pd.DataFrame,
    methods: Sequence[str] = (),
    epsilons: Sequence[float] = (),
    conditions: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """The rows that pass every filter.

    Args:
        rows: one line per trial; see `leaderboard_rows.collect`.
        methods: names, or names with a variant in brackets, as the leaderboard shows them; all if empty. The rows of
            real images stay.
        epsilons: budgets; all if empty. Reference rows stay.
        conditions: column -> the values to keep, as texts; numbers are compared as numbers.

    Raises:
        UnknownName: no row has such a method, or there is no such column.
        DpbenchError: no row passes.
    """
    if rows.empty:
        return rows
    kept = pd.Series(True, rows.index)
    if methods:
        kept &= _of_methods(rows, methods) | (rows["reference"] == "real")
    if epsilons:
        kept &= rows["epsilon"].isin(list(epsilons)) | rows["reference"].isin(["real", "public", "nonprivate"])
    for column, values in (conditions or {}).items():
        kept &= _has_value(rows, column, values)
    if not kept.any():
        raise DpbenchError("no finished trial passes these filters; drop one, or look at the unfiltered leaderboard")
    return rows[kept].reset_index(drop=True)


def _of_methods(rows: pd.DataFrame, methods: Sequence[str]) -> pd.Series[bool]:
    """Whether each row has one of the methods (in any variant), or exactly a variant that is named."""
    names = rows["method"]
    titles = pd.Series([titled(*pair) for pair in zip(names, rows["variant"], strict=True)], rows.index)
    wanted = [method.replace(" [", "[").replace("[", " [", 1) for method in methods]
    for method in wanted:
        if not (names.eq(method) | titles.eq(method)).any():
            raise UnknownName("method with results", method, {*names, *titles})
    return names.isin(wanted) | titles.isin(wanted)


def _has_value(rows: pd.DataFrame, column: str, values: Sequence[str]) -> pd.Series[bool]:
    if column not in rows:
        raise UnknownName("column", column, rows.columns)
    if pd.api.types.is_numeric_dtype(rows[column]):
        numbers = pd.to_numeric(pd.Series(list(values)), errors="coerce")
        return rows[column].astype("float64").isin(numbers.dropna().tolist())
    return rows[column].astype("str").isin(list(values))
