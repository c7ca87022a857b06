"""Published accuracies on MNIST and the orders between methods that papers report, compared with measured rows.

The accuracies come from DPImageBench (Gong et al., arXiv 2503.14681), which trains classifiers on 60,000 synthetic
images of each method and uses ImageNet as public data. The accuracy of DP-MERF comes from its authors (Harder et al.,
arXiv 2002.11603). All are rounded to two digits. They are context, not targets: protocols, public data and compute
differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from rich.table import Table
from rich.text import Text

from dpbench.results.over_seeds import mean_and_ci95
from dpbench.results.rounding import rounded
from experiments._verdict import STYLES, decide, explained

Accuracies = Mapping[str, Mapping[float, float]]
"""Method -> ε -> accuracy."""

PUBLISHED: Accuracies = {
    "dp-sgd": {1: 0.94, 10: 0.97},
    "dpdm": {1: 0.89, 10: 0.98},
    "dp-feta": {1: 0.96, 10: 0.98},
    "privimage": {1: 0.94, 10: 0.98},
    "dp-lora": {10: 0.97},
    "dp-gan": {1: 0.92, 10: 0.93},
    "gs-wgan": {1: 0.72, 10: 0.75},  # their accounting underestimates ε: an honest ε = 10 gives less
    "dp-merf": {1: 0.80, 10: 0.81},
    "dp-ntk": {10: 0.91},  # the row at ε = 1 has settings of another dataset
    "dp-kernel": {1: 0.94, 10: 0.94},
}
"""On MNIST."""

FRAME = {"public": 0.0, "nonprivate": math.inf}
"""The reference rows of a method, and their ε."""


class Order(NamedTuple):
    """A published claim: one candidate is at least as accurate as another.

    Attributes:
        what: the claim in words.
        better: the candidate and its ε.
        other: the candidate that it is compared with, and its ε.
    """

    what: str
    better: tuple[str, float]
    other: tuple[str, float]


class Pair(NamedTuple):
    """A claim about two candidates at every ε."""

    what: str
    better: str
    other: str


PAIRS = (
    Pair("finetuning a public model ≥ training from scratch", "dp-sgd", "dpdm"),
    Pair("warm-up on central images ≥ none", "dp-feta", "dpdm"),
)


def orders(candidates: Sequence[str], epsilons: Sequence[float], views: Pair) -> Iterator[Order]:
    """The claims about these candidates.

    Args:
        candidates: their names.
        epsilons: budgets.
        views: the claim about K > 1 noise draws and K = 1.
    """
    for pair in (*PAIRS, views):
        if {pair.better, pair.other} <= set(candidates):
            yield from (Order(pair.what, (pair.better, epsilon), (pair.other, epsilon)) for epsilon in epsilons)
    least, most = min(epsilons), max(epsilons)
    if least < most:
        for name in candidates:
            yield Order(f"{name}: ε = {most:g} ≥ ε = {least:g}", (name, most), (name, least))


def accuracy(rows: pd.DataFrame, candidate: str, epsilon: float) -> tuple[float, float]:
    """Mean over seeds and half width of its 95% interval; NaN if rows are missing.

    Args:
        rows: see `select`.
        candidate: its name.
        epsilon: the budget; 0 for the public part, infinite for the non-private reference, NaN for real images.
    """
    at = rows["epsilon"].isna() if math.isnan(epsilon) else rows["epsilon"] == epsilon
    return mean_and_ci95(rows.loc[at & (rows["candidate"] == candidate), "accuracy"].dropna().tolist())


def accuracy_table(
    rows: pd.DataFrame, candidates: Iterable[str], epsilons: Sequence[float], published: Accuracies
) -> Table:
    """The measured and published accuracy of every candidate at every ε, between the public and non-private rows."""
    table = Table("method", "public part", *(f"ε = {epsilon:g} (published)" for epsilon in epsilons), "no noise")
    for name in candidates:
        budgets = [FRAME["public"], *epsilons, FRAME["nonprivate"]]
        cells = [rounded(*accuracy(rows, name, epsilon)) for epsilon in budgets]
        theirs = published.get(name, {})
        known = [f" ({theirs[epsilon]:g})" if epsilon in theirs else "" for epsilon in budgets]
        table.add_row(*map(Text, (name, *map("".join, zip(cells, known, strict=True)))))
    table.add_row("real images", *[""] * (len(table.columns) - 2), rounded(*accuracy(rows, "real", math.nan)))
    return table


def judged(rows: pd.DataFrame, stated: Iterable[Order]) -> list[dict[str, Any]]:
    """One line per claim: what it says, ε, both accuracies, lead and verdict."""
    lines = []
    for order in stated:
        better, other = (accuracy(rows, *side)[0] for side in (order.better, order.other))
        lines.append({"what": order.what, "better": better, "other": other, "epsilon": order.better[1]}
                     | decide({"better": better, "other": other}))  # fmt: skip
    return lines


def order_table(lines: Iterable[Mapping[str, Any]]) -> Table:
    """The claims and whether they hold."""
    table = Table("published order", "ε", "accuracy", "compared with", "verdict")
    for line in lines:
        numbers = (f"{line['epsilon']:g}", rounded(line["better"]), rounded(line["other"]))
        table.add_row(*map(Text, (line["what"], *numbers)), Text(explained(pd.Series(line)), STYLES[line["verdict"]]))
    return table


def views_pair(method: str, views: int) -> Pair:
    """The claim about noise draws per record, for a method whose preset makes `views` of them.

    Both candidates have the same batch, steps and noise, so they see the same records.
    """
    one, several = (method, f"{method}[views=4]") if views == 1 else (f"{method}[views=1]", method)
    return Pair("K > 1 noise draws per record ≥ K = 1", several, one)
