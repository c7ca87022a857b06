"""The metrics' columns: of which metrics they are, which are shown, and by which a table is ranked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.metric import Column, Metric
from dpbench.core.plugin_checks import check_metric
from dpbench.core.registries import METRICS
from dpbench.results.row import PROTOCOL, is_reserved

PROTOCOL_ENTRIES = {*(f.name for f in PROTOCOL), "reference"}
"""Protocol entries of every trial, beside one entry per metric under the metric's name."""


def known_metric(name: str) -> type[Metric]:
    """The metric called `name`, its columns checked.

    Raises:
        UnknownName: it does not exist.
        DpbenchError: it cannot be imported, its declarations are wrong, or it fills reserved columns.
    """
    metric = METRICS.get(name)
    if name in PROTOCOL_ENTRIES:
        raise DpbenchError(f"no metric may be called '{name}', because its protocol entry would replace the row's")
    check_metric(name, metric)
    for column in metric.columns:
        if is_reserved(column.name):
            raise DpbenchError(f"metric '{name}' may not fill '{column.name}', a reserved column; rename it")
        if not column.name.isidentifier():
            raise DpbenchError(f"metric '{name}' fills '{column.name}'; use only letters, digits and _ in column names")
    return metric


def columns_of(metrics: Sequence[str]) -> list[Column]:
    """The columns that the named metrics fill, in order.

    Raises:
        UnknownName, DpbenchError: as `known_metric`; or two metrics fill the same column.
    """
    owners: dict[str, str] = {}
    columns = []
    for metric in dict.fromkeys(metrics):
        for column in known_metric(metric).columns:
            if owners.setdefault(column.name, metric) != metric:
                raise DpbenchError(f"metrics '{owners[column.name]}' and '{metric}' both fill '{column.name}'")
            columns.append(column)
    return columns


def known_columns() -> list[Column]:
    """The columns of all metrics that can be imported."""
    return [column for metric in importable_metrics().values() for column in metric.columns]


def headline_columns() -> list[Column]:
    """The first column of each headline metric, or the one that ranks it: the default columns of a printed table."""
    return ranking_columns([metric.columns[0] for metric in importable_metrics().values() if metric.headline])


def other_columns() -> list[Column]:
    """The same for each other metric: the columns of a table in which no headline metric has a value."""
    return ranking_columns([metric.columns[0] for metric in importable_metrics().values() if not metric.headline])


def asked_columns(metrics: Sequence[str]) -> list[Column]:
    """The columns to show for requested metrics: first the ranking column of each metric, then the others."""
    columns = [known_metric(name).columns for name in metrics]
    firsts = [first for first, *_ in columns]
    return list(dict.fromkeys([*ranking_columns(firsts), *firsts, *(column for each in columns for column in each)]))


def named_columns(names: Sequence[str]) -> list[Column]:
    """The columns with these names, in this order.

    Raises:
        UnknownName: a column does not exist.
    """
    known = {column.name: column for column in known_columns()}
    for name in names:
        if name not in known:
            raise UnknownName("metric column", name, known)
    return [known[name] for name in names]


def ranking_columns(columns: Sequence[Column]) -> list[Column]:
    """The columns that rank rows for the given ones: the `ranked_by` of each, or the column itself."""
    ranking = iter(named_columns([column.ranked_by for column in columns if column.ranked_by]))
    return [next(ranking) if column.ranked_by else column for column in columns]


def owners() -> dict[str, str]:
    """Column -> the name of its metric."""
    return {column.name: name for name, metric in importable_metrics().items() for column in metric.columns}


def importable_metrics() -> dict[str, type[Metric]]:
    """The metrics that can be imported and whose declarations are right."""
    found = {}
    for name in METRICS.names():
        with suppress(DpbenchError):
            found[name] = known_metric(name)
    return found
