"""Scores with their 95% intervals: by ε, by method, and by a row's cost. One panel per score."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.metric import Column
from dpbench.results.rounding import budget, privacy
from dpbench.results.row import CI95

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#00835f", "#a8447f", "#8a6d00", "#5b4bb5", "#7a4a21", "#4d5661")
MARKERS = ("o", "s", "^", "D", "v", "P")
PANEL = (3.4, 2.7)  # inches
COLUMNS = 3  # panels in a row
LETTER = 0.09  # inches per letter of a name beside a panel
POINTS: dict[str, Any] = {"linestyle": "", "markersize": 4.5, "elinewidth": 1, "capsize": 2}

COST_NAMES = {
    "seconds_prepare": "public training (s)",
    "seconds_fit": "private training (s)",
    "seconds_sample": "sampling (s)",
    "seconds_evaluate": "scoring (s)",
    "peak_memory_mb": "peak memory (MB)",
    "parameters_private": "parameters trained on private data",
    "parameters_total": "parameters",
    "queries": "private releases",
}


def by_epsilon(lines: pd.DataFrame, columns: Sequence[Column]) -> Figure:
    """Each score by ε, one line per series; the public reference at 0, the non-private one at ∞, real images dashed.

    Rows of other programs without a claimed ε have no place, and a warning names them.

    Args:
        lines: the lines of one table, with their `series`; see `over_seeds.aggregate` and `comparable.series_of`.
        columns: the scores.

    Raises:
        DpbenchError: no row has any of the scores, or none has an ε.
    """
    figure, panels = _panels(lines, columns)
    made = _with_epsilon(lines[lines["reference"] != "real"])
    places = _places(made["epsilon"])
    for axes, column in zip(panels, columns, strict=True):
        for series, colour, marker in _looks(made):
            own = made[made["series"] == series].sort_values("epsilon")
            x = own["epsilon"].map(places)
            joined = own["reference"] == ""
            axes.plot(x[joined], own.loc[joined, column.name], color=colour, linewidth=1.3)
            _points(axes, x, own, column, color=colour, marker=marker, label=series)
        _real_line(lines, column, axes.axhspan, axes.axhline)
        axes.set_xticks(list(places.values()), [budget(e) if e else "public" for e in places])
        axes.set_xlabel("ε")
    return _with_legend(figure, panels[0])


def by_method(lines: pd.DataFrame, columns: Sequence[Column]) -> Figure:
    """Each score by method, from top to bottom, with a point per ε or for no claimed ε; see `by_epsilon`."""
    made = lines[lines["reference"] != "real"]
    names = list(dict.fromkeys(made["series"]))
    budgets = sorted(made["epsilon"].unique(), key=lambda epsilon: (math.isnan(epsilon), epsilon))
    figure, panels = _panels(lines, columns, height=0.9 + 0.16 * len(names) * (1 + len(budgets)))
    figure.set_figwidth(figure.get_figwidth() + LETTER * max(map(len, names), default=0))
    for number, (axes, column) in enumerate(zip(panels, columns, strict=True)):
        for place, epsilon in enumerate(budgets):
            own = made[made["epsilon"].isna() if math.isnan(epsilon) else made["epsilon"] == epsilon]
            shift = (place - (len(budgets) - 1) / 2) * 0.6 / len(budgets)
            look: dict[str, Any] = {
                "color": COLOURS[place % len(COLOURS)],
                "marker": MARKERS[place % len(MARKERS)],
                "label": "no ε claimed" if math.isnan(epsilon) else privacy(epsilon),
            }
            half = _half_widths(own, column)
            axes.errorbar(own[column.name], own["series"].map(names.index) + shift, xerr=half, **POINTS, **look)
        _real_line(lines, column, axes.axvspan, axes.axvline)
        axes.set_yticks(range(len(names)), names if number % COLUMNS == 0 else [""] * len(names))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_ylabel("")
        axes.set_xlabel(column.heading)
        axes.grid(visible=False, axis="y")
    return _with_legend(figure, panels[0])


def by_cost(lines: pd.DataFrame, columns: Sequence[Column], cost: str) -> Figure:
    """Each score by a cost, with ε beside each point that has one; see `by_epsilon`.

    Args:
        cost: a key of `COST_NAMES`.

    Raises:
        UnknownName: there is no such cost.
        DpbenchError: also if no row has that cost.
    """
    from matplotlib.ticker import LogFormatter

    if cost not in COST_NAMES:
        raise UnknownName("cost", cost, COST_NAMES)
    figure, panels = _panels(lines, columns)
    made = lines[(lines["reference"] != "real") & (lines[cost] > 0)]
    if made.empty:
        raise DpbenchError(f"no row has a cost in {cost} to draw; choose another one with --cost")
    for axes, column in zip(panels, columns, strict=True):
        for series, colour, marker in _looks(made):
            own = made[(made["series"] == series) & made[column.name].notna()]
            _points(axes, own[cost], own, column, color=colour, marker=marker, label=series)
            for _, line in own[own["epsilon"].notna()].iterrows():
                text, place = f"ε={budget(line['epsilon'])}", (line[cost], line[column.name])
                axes.annotate(text, place, (4, 4), textcoords="offset points", fontsize=7)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(LogFormatter())
        axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.4)))
        axes.set_xlabel(COST_NAMES[cost])
    return _with_legend(figure, panels[0])


def _with_epsilon(made: pd.DataFrame) -> pd.DataFrame:
    """The lines with an ε; warns of the others.

    Raises:
        DpbenchError: none has an ε.
    """
    without = made[made["epsilon"].isna()]
    if without.empty:
        return made
    left_out = f"no ε is claimed for {', '.join(dict.fromkeys(without['series']))}; `dpbench plot method` draws them"
    if len(without) == len(made):
        raise DpbenchError(f"there is nothing to draw by ε: {left_out}")
    warnings.warn(f"left out: {left_out}", stacklevel=3)
    return made[made["epsilon"].notna()]


def _panels(lines: pd.DataFrame, columns: Sequence[Column], height: float = PANEL[1]) -> tuple[Figure, list[Axes]]:
    """A figure with one panel per score."""
    from matplotlib.figure import Figure

    if empty := [column.name for column in columns if lines[column.name].isna().all()]:
        raise DpbenchError(
            f"no row has a value of {', '.join(empty)}; `dpbench evaluate --all --metrics ...` adds scores"
        )
    across = min(COLUMNS, len(columns))
    down = -(-len(columns) // across)
    figure = Figure(figsize=(PANEL[0] * across, height * down), layout="constrained")
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    for spare in panels[len(columns) :]:
        spare.set_axis_off()
    for axes, column in zip(panels, columns, strict=False):
        axes.set_ylabel(column.heading)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    return figure, panels[: len(columns)]


def _places(budgets: pd.Series[float]) -> dict[float, float]:
    """ε -> its horizontal position: logarithmic, with 0 and ∞ beside the others."""
    known = sorted(set(budgets))
    finite = [e for e in known if 0 < e < math.inf] or [1.0]
    logs = {e: math.log10(e) for e in known if 0 < e < math.inf}
    gap = max(0.3, 0.25 * (math.log10(finite[-1]) - math.log10(finite[0])))
    ends = {0.0: math.log10(finite[0]) - gap, math.inf: math.log10(finite[-1]) + gap}
    return {e: logs.get(e, ends.get(e, math.nan)) for e in known}


def _looks(made: pd.DataFrame) -> list[tuple[str, str, str]]:
    """(series, colour, marker)."""
    names = list(dict.fromkeys(made["series"]))
    return [(name, COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)]) for n, name in enumerate(names)]


def _points(axes: Axes, x: Any, own: pd.DataFrame, column: Column, **look: Any) -> None:
    """Points with intervals; lines without an interval get a bare point."""
    axes.errorbar(x, own[column.name], _half_widths(own, column), **POINTS, **look)


def _half_widths(own: pd.DataFrame, column: Column) -> NDArray[np.float64]:
    return np.nan_to_num(own[column.name + CI95].to_numpy("float64"))


def _real_line(lines: pd.DataFrame, column: Column, span: Callable[..., object], line: Callable[..., object]) -> None:
    """The score of real images, with its interval as a band.

    Args:
        span, line: draw a band and a line across the axes.
    """
    for _, real in lines[(lines["reference"] == "real") & lines[column.name].notna()].iterrows():
        value, half = real[column.name], np.nan_to_num(real[column.name + CI95])
        span(value - half, value + half, color="#888888", alpha=0.2, linewidth=0)
        line(value, color="#666666", linestyle="--", linewidth=1, label="real images")


def _with_legend(figure: Figure, axes: Axes) -> Figure:
    handles, names = axes.get_legend_handles_labels()
    found = dict(zip(names, handles, strict=True))
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside lower center",
        ncols=min(3, len(found)),
        frameon=False,
        fontsize=8,
    )
    return figure
