"""The figure: one row of panels per ε, one column per measure, datasets on the x-axis, one line per candidate."""

from __future__ import annotations

import math
from itertools import groupby

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from experiments._verdict import MARGIN, MEASURES

MARKERS = [("#0b6fb8", "o"), ("#e07b1a", "s"), ("#6f6f6f", "^"), ("#8a4fbf", "D")]
"""Colour and marker of each candidate, in order."""

VERDICT_COLOURS = {"holds": "#1a7f37", "fails": "#c62828", "undecided": "#8a6d00", "incomplete": "#999999"}
WIDTHS = [1.4] + [1.0] * (len(MEASURES) - 1)
"""Relative column widths. Accuracy decides the verdict and is the widest."""

SPAN = 5.0
"""Minimum ratio of the limits of distance axes, so that small differences do not look large."""

SHIFT = 0.06
"""Horizontal offset between candidates, so that markers do not overlap."""


def draw(summary: pd.DataFrame) -> Figure:
    """Draws the figure of a summary (see `summarise`)."""
    epsilons = list(dict.fromkeys(summary["epsilon"]))
    figure = Figure(figsize=(13, 1.2 + 2.7 * len(epsilons)), layout="constrained")
    panels = figure.subplots(
        len(epsilons), len(MEASURES), squeeze=False, sharex=True, sharey="col", width_ratios=WIDTHS
    )
    for row, epsilon in zip(panels, epsilons, strict=True):
        at_epsilon = summary[summary["epsilon"] == epsilon]
        for axes, measure in zip(row, MEASURES, strict=True):
            _panel(axes, at_epsilon, measure)
        row[0].set_ylabel(f"ε = {epsilon:g}", fontsize=13, fontweight="bold")
        row[0].set_ylim(0, 1)
        _verdicts(row[0], at_epsilon)
    for axes, heading in zip(panels[0], MEASURES.values(), strict=True):
        axes.set_title(heading, fontsize=11, pad=18)
    for axes in panels[0, 1:]:
        _log_scale(axes)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=9, frameon=False)
    first = summary["candidate"].iloc[0]
    figure.supxlabel(
        f"holds: the accuracy of {first} is more than {100 * MARGIN:g} points above all others'; "
        f"fails: more than {100 * MARGIN:g} below the best of them",
        fontsize=9,
    )
    return figure


def _panel(axes: Axes, lines: pd.DataFrame, measure: str) -> None:
    """Draws one measure at one ε. Datasets of the same plugin ("grained:0", "grained:1") are connected by lines."""
    tasks = list(dict.fromkeys(lines["task"]))
    groups = [list(group) for _, group in groupby(tasks, key=lambda name: name.partition(":")[0])]
    candidates = lines.groupby("candidate", sort=False)
    for place, ((candidate, own), (colour, marker)) in enumerate(zip(candidates, MARKERS, strict=False)):
        own = own.set_index("task")
        shift = SHIFT * (place - (len(candidates) - 1) / 2)
        for number, group in enumerate(groups):
            part = own.loc[group]
            axes.errorbar(
                [tasks.index(name) + shift for name in group],
                part[measure],
                part[f"{measure}_ci95"],
                color=colour,
                marker=marker,
                capsize=3,
                label="" if number else candidate,
            )
    labels = [f"{name}\n{label}" for name, label in own["label"].items()]
    axes.set_xticks(range(len(tasks)), labels)
    axes.tick_params(labelsize=8)
    axes.set_xlim(-0.5, len(tasks) - 0.5)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _log_scale(axes: Axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    widen = max(1.0, math.sqrt(SPAN * low / high))
    axes.set_ylim(low / widen, high * widen)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _verdicts(axes: Axes, lines: pd.DataFrame) -> None:
    """Writes the verdict of each dataset above its points."""
    for place, (_, group) in enumerate(lines.groupby("task", sort=False)):
        word = group["verdict"].iloc[0]
        style = {"color": VERDICT_COLOURS[word], "fontsize": 9, "fontweight": "bold"}
        axes.text(place, 1.02, word, ha="center", va="bottom", transform=axes.get_xaxis_transform(), **style)
