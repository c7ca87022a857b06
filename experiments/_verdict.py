"""From rows to a table with a verdict per dataset and ε."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from dpbench.results.gathering import mean_and_ci95
from dpbench.results.rounding import rounded
from experiments._contest import Entry, Request

MARGIN = 0.02
"""Accuracy by which the first contender must lead or trail for a verdict: two points, what a seed is good for."""

MEASURES = {
    "accuracy": "accuracy ↑",
    "fd_coarse": "Fréchet distance ↓\ncoarse band",
    "fd_detail2": "Fréchet distance ↓\ndetail, level 2",
    "fd_detail1": "Fréchet distance ↓\nfinest detail, level 1",
}
"""Columns of the rows, and how the figure heads them."""

STYLES = {"holds": "green", "fails": "red", "undecided": "yellow", "incomplete": "dim"}


def select(rows: pd.DataFrame, entries: Iterable[Entry], request: Request) -> pd.DataFrame:
    """The rows that answer the request, with their contender's name and arena's dataset in columns of these names.

    Only verified rows with secret noise count. Where a trial was run again under newer code, the newest row counts.
    """
    counts = (
        rows["epsilon"].isin(request.epsilons)
        & (rows["seed"] < request.seeds)
        & (rows["n_samples"] == request.samples)
        & (rows["reference"] == "")
        & (rows["accounting"] == "verified")
        & (rows["noise"] == "secret")
    )
    rows = rows[counts.fillna(False)]
    found = []
    for e in entries:
        wanted = {"dataset": e.dataset, "method": e.method, "variant": e.variant, "public_source": e.arena.public}
        own = rows[(rows[list(wanted)] == pd.Series(wanted)).all(axis=1)]
        newest = own.sort_values("date").drop_duplicates(["epsilon", "seed"], keep="last")
        found.append(newest.assign(arena=e.arena.dataset, contender=e.contender.name))
    return pd.concat(found).sort_values(["dataset", "method", "variant", "epsilon", "seed"], ignore_index=True)


def summarise(selected: pd.DataFrame, entries: Iterable[Entry], epsilons: Sequence[float]) -> pd.DataFrame:
    """A line per arena, ε and contender, in this order: means over seeds, half widths of 95% intervals, verdicts.

    Cells of what is not finished are not numbers.
    """
    by_arena: dict[str, list[Entry]] = {}
    for e in entries:
        by_arena.setdefault(e.arena.dataset, []).append(e)
    lines = []
    for arena, competing in by_arena.items():
        for epsilon in epsilons:
            group = [_line(selected, e, epsilon) for e in competing]
            verdict = judge({line["contender"]: line["accuracy"] for line in group})
            lines += [{"arena": arena, "epsilon": epsilon, **line, **verdict} for line in group]
    return pd.DataFrame(lines)


def _line(selected: pd.DataFrame, e: Entry, epsilon: float) -> dict[str, Any]:
    keys = {"arena": e.arena.dataset, "contender": e.contender.name, "epsilon": epsilon}
    own = selected[(selected[list(keys)] == pd.Series(keys)).all(axis=1)]
    line = {"label": e.arena.label, "contender": e.contender.name, "seeds": len(own)}
    for column in (*MEASURES, "seconds_fit"):
        line[column], line[f"{column}_ci95"] = mean_and_ci95(own[column].dropna().tolist())
    return line | {"private_seconds": e.contender.private_seconds}


def judge(accuracy: Mapping[str, float]) -> dict[str, Any]:
    """Whether the first contender's accuracy lies above all others' by more than `MARGIN`.

    Args:
        accuracy: contender -> accuracy; not a number where there is none yet.

    Returns:
        verdict ("holds" | "fails": it lies below the best other by more than the margin | "undecided" | "incomplete")
        and lead (over the best of the others).
    """
    ours, *others = accuracy.values()
    lead = math.nan if any(map(math.isnan, accuracy.values())) else ours - max(others)
    outcomes = {"holds": lead > MARGIN, "fails": lead < -MARGIN, "undecided": abs(lead) <= MARGIN}
    return {"verdict": next((word for word, true in outcomes.items() if true), "incomplete"), "lead": lead}


def explained(line: pd.Series[Any]) -> str:
    """A verdict in plain words: "holds: 5.1 points ahead"."""
    if line["verdict"] == "incomplete":
        return "incomplete: trials are missing"
    word = line["verdict"] + (f" within {100 * MARGIN:g} points" if line["verdict"] == "undecided" else "")
    return f"{word}: {abs(100 * line['lead']):.1f} points {'ahead' if line['lead'] >= 0 else 'behind'}"


def verdict_table(summary: pd.DataFrame) -> Table:
    """The summary as one reads it: the verdict stands with the first contender, whose lead it is about."""
    numbers = [*MEASURES, "private phase [s]", "by design [s]"]
    table = Table("dataset", "ε", "contender", *numbers, "verdict on the hypothesis")
    for column in table.columns[3:-1]:
        column.justify = "right"
    for (_, _), group in summary.groupby(["arena", "epsilon"], sort=False):
        for number, (_, line) in enumerate(group.iterrows()):
            first = number == 0
            head = (f"{line['arena']} ({line['label']})", f"{line['epsilon']:g}") if first else ("", "")
            cells = [rounded(line[column], line[f"{column}_ci95"]) for column in MEASURES]
            seconds = [rounded(line[column]) for column in ("seconds_fit", "private_seconds")]
            verdict = Text(explained(line), STYLES[line["verdict"]]) if first else ""
            table.add_row(*map(Text, (*head, line["contender"], *cells, *seconds)), verdict)
        table.add_section()
    return table
