"""Accuracy against private compute: the points of a curve, their measured accuracies, and the figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from dpbench.benchmark.configure import configure, plan_of
from dpbench.benchmark.reporting.tiers import ANY, private_gradients
from dpbench.core.errors import ConfigError
from dpbench.core.specs import DatasetSpec
from dpbench.results.over_seeds import mean_and_ci95
from experiments._candidates import Candidate


class Point(NamedTuple):
    """A method with some multiple of the private steps of its preset.

    Attributes:
        factor: the multiple.
        candidate: the method with that number of steps.
        gradients: expected number of private gradients: records × views × steps.
    """

    factor: float
    candidate: Candidate
    gradients: float


def make_points(method: str, dataset: str, spec: DatasetSpec, preset: str, factors: Sequence[float]) -> list[Point]:
    """A method with each of these multiples of its preset's private steps.

    Raises:
        ConfigError: the method does not compute private gradients in steps.
    """
    (start,) = configure([method], dataset, preset, {})
    if not private_gradients(plan_of(start.method, start.config, spec, ANY), start.config):
        raise ConfigError(f"{method} computes no private gradients; name a method that trains by DP-SGD")
    points = []
    for factor in factors:
        steps = max(1, round(factor * start.config.steps))
        candidate = Candidate(f"{method}, steps × {factor:g}", method, {"steps": steps})
        (configured,) = configure([candidate.variant], dataset, preset, {})
        plan = plan_of(configured.method, configured.config, spec, ANY)
        points.append(Point(factor, candidate, private_gradients(plan, configured.config)))
    return points


def curve(rows: pd.DataFrame, points: Sequence[Point], epsilons: Sequence[float]) -> pd.DataFrame:
    """One line per ε and point: mean accuracy over seeds with the half width of its 95% interval.

    Args:
        rows: see `select`. Values of unfinished trials are NaN.
    """
    lines = []
    for epsilon in epsilons:
        for factor, candidate, gradients in points:
            own = rows[(rows["candidate"] == candidate.name) & (rows["epsilon"] == epsilon)]
            mean, half = mean_and_ci95(own["accuracy"].dropna().tolist())
            about = {"epsilon": epsilon, "factor": factor, **candidate.settings, "private_gradients": gradients}
            measured = {"seeds": len(own), "accuracy": mean, "accuracy_ci95": half}
            lines.append(about | measured | {"seconds_fit": own["seconds_fit"].mean()})
    return pd.DataFrame(lines)


def draw_curve(lines: pd.DataFrame, title: str) -> Figure:
    """Accuracy against private gradients, one line per ε."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for epsilon, own in lines.groupby("epsilon"):
        half = own["accuracy_ci95"].fillna(0)
        axes.errorbar(own["private_gradients"], own["accuracy"], half, marker="o", capsize=3, label=f"ε = {epsilon:g}")
    axes.set_xscale("log")
    axes.set_ylim(0, 1)
    axes.set_xlabel("private gradients: records × views × steps")
    axes.set_ylabel("accuracy")
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure
