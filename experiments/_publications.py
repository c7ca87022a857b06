"""Published results that can be measured again, and their comparison with ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from dpbench.results.over_seeds import mean_and_ci95
from dpbench.results.rounding import rounded

TOLERANCE = 0.03
"""Largest difference between accuracies that counts as reproduced: three points."""


@dataclass(frozen=True)
class Publication:
    """Published results of one method on one dataset.

    Attributes:
        dataset: argument of `dpbench run --dataset`.
        accuracy: ε -> accuracy of classifiers trained on the samples, in [0, 1].
        seconds: ε -> seconds of training.
        sources: the sources of both.
    """

    dataset: str
    accuracy: Mapping[float, float]
    seconds: Mapping[float, float]
    sources: str


PUBLICATIONS: Mapping[str, Publication] = {
    "dp-merf": Publication(
        dataset="mnist",
        accuracy={1.0: 0.803, 10.0: 0.813},
        seconds={1.0: 39.0, 10.0: 35.9},
        sources="accuracy: DPImageBench (arXiv 2503.14681); seconds: sok-ppds.github.io, with settings of their own",
    ),
}
"""Method -> its published results."""


def compared(
    rows: pd.DataFrame, publication: Publication, epsilons: Sequence[float], column: str
) -> list[dict[str, Any]]:
    """One line per ε: the published accuracy, ours as the mean over seeds, their difference, and seconds of training.

    Args:
        rows: finished private trials of the method.
        publication: published results; an ε without a value gives NaN.
        epsilons: budgets.
        column: the accuracy column.
    """
    lines = []
    for epsilon in epsilons:
        own = rows[rows["epsilon"] == epsilon]
        ours, ci95 = mean_and_ci95(own[column].dropna().tolist())
        published = publication.accuracy.get(epsilon, float("nan"))
        lines.append(
            {
                "epsilon": epsilon,
                "column": column,
                "published": published,
                "ours": ours,
                "ci95": ci95,
                "difference": ours - published,
                "seeds": len(own),
                "seconds_published": publication.seconds.get(epsilon, float("nan")),
                "seconds_ours": own["seconds_fit"].mean(),
                "device": "; ".join(sorted(set(own["device"]))),
            }
        )
    return lines


def verdict(difference: float) -> Text:
    """Whether an accuracy is reproduced, e.g. "4.1 points above"."""
    if pd.isna(difference):
        return Text("nothing to compare", "dim")
    if abs(difference) <= TOLERANCE:
        return Text(f"reproduced within {100 * TOLERANCE:g} points", "green")
    return Text(f"{100 * abs(difference):.1f} points {'above' if difference > 0 else 'below'}", "yellow")


def comparison_table(lines: Sequence[Mapping[str, Any]]) -> Table:
    """The lines of `compared`, with a verdict for each."""
    table = Table("ε", "measured by", "published", "ours", "verdict", "seconds, published", "seconds, ours")
    for line in lines:
        accuracies = rounded(line["published"]), rounded(line["ours"], line["ci95"])
        seconds = rounded(line["seconds_published"]), rounded(line["seconds_ours"])
        numbers = (f"{line['epsilon']:g}", line["column"], *accuracies)
        table.add_row(*map(Text, numbers), verdict(line["difference"]), *map(Text, seconds))
    return table
