"""The figure: a row of panels per ε, a column per measure, the datasets from left to right, a line per contender."""

from __future__ import annotations

import math
from itertools import groupby

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from experiments._verdict import MARGIN, MEASURES

LOOKS = [("#0b6fb8", "o"), ("#e07b1a", "s"), ("#6f6f6f", "^"), ("#8a4fbf", "D")]
"""Colour and marker of the contenders, in their order."""

INK = {"holds": "#1a7f37", "fails": "#c62828", "undecided": "#8a6d00", "incomplete": "#999999"}
WIDTHS = [1.4] + [1.0] * (len(MEASURES) - 1)
"""Of the columns; accuracy, which the verdict is about, is the widest."""

SPAN = 5.0
"""Axes of distances span at least this factor, so that small differences do not look large."""

SHIFT = 0.06
"""Between contenders at one dataset, so that they do not hide each other."""


def draw(summary: pd.DataFrame) -> Figure:
    """The figure of a summary (see `summarise`)."""
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
    first = summary["contender"].iloc[0]
    figure.supxlabel(
        f"holds: the accuracy of {first} is more than {100 * MARGIN:g} points above all others'; "
        f"fails: more than {100 * MARGIN:g} below the best of them",
        fontsize=9,
    )
    return figure


def _panel(axes: Axes, lines: pd.DataFrame, measure: str) -> None:
    """One measure at one ε; datasets of one plugin ("shapes:0", "shapes:1") are joined by lines."""
    arenas = list(dict.fromkeys(lines["arena"]))
    stretches = [list(stretch) for _, stretch in groupby(arenas, key=lambda name: name.partition(":")[0])]
    contenders = lines.groupby("contender", sort=False)
    for place, ((contender, own), (colour, marker)) in enumerate(zip(contenders, LOOKS, strict=False)):
        own = own.set_index("arena")
        shift = SHIFT * (place - (len(contenders) - 1) / 2)
        for number, stretch in enumerate(stretches):
            part = own.loc[stretch]
            axes.errorbar(
                [arenas.index(name) + shift for name in stretch],
                part[measure],
                part[f"{measure}_ci95"],
                color=colour,
                marker=marker,
                capsize=3,
                label="" if number else contender,
            )
    labels = [f"{name}\n{label}" for name, label in own["label"].items()]
    axes.set_xticks(range(len(arenas)), labels)
    axes.tick_params(labelsize=8)
    axes.set_xlim(-0.5, len(arenas) - 0.5)
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
    """The verdict on every dataset, above its points."""
    for place, (_, group) in enumerate(lines.groupby("arena", sort=False)):
        word = group["verdict"].iloc[0]
        style = {"color": INK[word], "fontsize": 9, "fontweight": "bold"}
        axes.text(place, 1.02, word, ha="center", va="bottom", transform=axes.get_xaxis_transform(), **style)
