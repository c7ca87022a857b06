"""Summary of result rows with a verdict per dataset and ε."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from dpbench.benchmark.public_choice import canonical_public
from dpbench.core.errors import DpbenchError
from dpbench.results.leaderboard_rows import collect
from dpbench.results.over_seeds import mean_and_ci95
from dpbench.results.rounding import rounded
from experiments._candidates import Entry, Request

MARGIN = 0.02
"""Minimum accuracy difference for a verdict: two points, about the variation between seeds."""

MEASURES = {
    "accuracy": "accuracy ↑",
    "fd_coarse": "Fréchet distance ↓\ncoarse band",
    "fd_detail2": "Fréchet distance ↓\ndetail, level 2",
    "fd_detail1": "Fréchet distance ↓\nfinest detail, level 1",
}
"""Columns of the rows and their headings in the figure."""

STYLES = {"holds": "green", "fails": "red", "undecided": "yellow", "incomplete": "dim"}


def finished_rows(entries: Sequence[Entry], request: Request) -> pd.DataFrame:
    """The rows of the finished trials of a request; see `select`.

    Raises:
        DpbenchError: no trial is finished.
    """
    rows = select(collect(request.out), entries, request)
    if rows.empty:
        raise DpbenchError(f"no finished trials of this experiment in {request.out}; run it without --table-only")
    return rows


def select(rows: pd.DataFrame, entries: Sequence[Entry], request: Request) -> pd.DataFrame:
    """The rows of a request, with the additional columns "candidate" (its name) and "task" (its dataset).

    Private rows are selected only if they are verified and have secret noise, except for unverified candidates. If a
    trial was repeated with newer code, the newest row is used. The `real` reference belongs to a separate candidate,
    "real".
    """
    private = rows["epsilon"].isin(request.epsilons) & (rows["reference"] == "")
    counts = (
        (private | rows["reference"].isin(request.references))
        & (rows["seed"].fillna(0) < request.seeds)
        & (rows["n_samples"] == request.samples)
    )
    rows = rows[counts.fillna(False)].copy()
    found = []
    for e in entries:
        wanted = {"dataset": e.dataset, "method": e.method, "variant": e.variant, "preset": request.preset}
        own = rows[(rows[list(wanted)] == pd.Series(wanted)).all(axis=1)]
        own = own[own["public_source"].isin([canonical_public(e.task.public), ""])]
        is_trusted = (own["accounting"] == "verified") & (own["noise"] == "secret")
        own = own[is_trusted | (own["reference"] != "") | e.candidate.unverified]
        found.append(_newest(own).assign(task=e.task.dataset, candidate=e.candidate.name))
    for task, dataset in {e.task.dataset: e.dataset for e in entries}.items():
        real = rows[(rows["dataset"] == dataset) & (rows["reference"] == "real")]
        found.append(_newest(real).assign(task=task, candidate="real"))
    return pd.concat(found).sort_values(["dataset", "method", "variant", "epsilon", "seed"], ignore_index=True)


def _newest(rows: pd.DataFrame) -> pd.DataFrame:
    """The newest row of each trial of one candidate."""
    return rows.sort_values("date").drop_duplicates(["reference", "epsilon", "seed"], keep="last")


def summarise(selected: pd.DataFrame, entries: Iterable[Entry], epsilons: Sequence[float]) -> pd.DataFrame:
    """One line per task, ε and candidate: means over seeds, half widths of 95% confidence intervals, and verdicts.

    Values of unfinished trials are NaN.
    """
    by_task: dict[str, list[Entry]] = {}
    for e in entries:
        by_task.setdefault(e.task.dataset, []).append(e)
    lines = []
    for task, competing in by_task.items():
        for epsilon in epsilons:
            group = [_line(selected, e, epsilon) for e in competing]
            verdict = decide({line["candidate"]: line["accuracy"] for line in group})
            lines += [{"task": task, "epsilon": epsilon, **line, **verdict} for line in group]
    return pd.DataFrame(lines)


def _line(selected: pd.DataFrame, e: Entry, epsilon: float) -> dict[str, Any]:
    keys = {"task": e.task.dataset, "candidate": e.candidate.name, "epsilon": epsilon}
    own = selected[(selected[list(keys)] == pd.Series(keys)).all(axis=1)]
    line = {"label": e.task.label, "candidate": e.candidate.name, "seeds": len(own)}
    for column in (*MEASURES, "seconds_fit"):
        line[column], line[f"{column}_ci95"] = mean_and_ci95(own[column].dropna().tolist())
    return line | {"private_seconds": e.candidate.private_seconds}


def decide(accuracy: Mapping[str, float]) -> dict[str, Any]:
    """Decides whether the first candidate has a higher accuracy than all others.

    Args:
        accuracy: candidate -> accuracy in [0, 1]; NaN if not yet available.

    Returns:
        lead (over the best other candidate) and verdict: "holds" for a lead above `MARGIN`, "fails" below -`MARGIN`,
        "undecided" between them, "incomplete" if an accuracy is missing.
    """
    ours, *others = accuracy.values()
    lead = math.nan if any(map(math.isnan, accuracy.values())) else ours - max(others)
    outcomes = {"holds": lead > MARGIN, "fails": lead < -MARGIN, "undecided": abs(lead) <= MARGIN}
    return {"verdict": next((word for word, true in outcomes.items() if true), "incomplete"), "lead": lead}


def explained(line: pd.Series[Any]) -> str:
    """A verdict as text, e.g. "holds: 5.1 points ahead"."""
    if line["verdict"] == "incomplete":
        return "incomplete: trials are missing"
    word = line["verdict"] + (f" within {100 * MARGIN:g} points" if line["verdict"] == "undecided" else "")
    return f"{word}: {abs(100 * line['lead']):.1f} points {'ahead' if line['lead'] >= 0 else 'behind'}"


def verdict_table(summary: pd.DataFrame) -> Table:
    """The summary as a table. The verdict is in the line of the first candidate."""
    numbers = [*MEASURES, "private phase [s]", "by design [s]"]
    table = Table("dataset", "ε", "candidate", *numbers, "verdict on the hypothesis")
    for column in table.columns[3:-1]:
        column.justify = "right"
    for (_, _), group in summary.groupby(["task", "epsilon"], sort=False):
        for number, (_, line) in enumerate(group.iterrows()):
            first = number == 0
            head = (f"{line['task']} ({line['label']})", f"{line['epsilon']:g}") if first else ("", "")
            cells = [rounded(line[column], line[f"{column}_ci95"]) for column in MEASURES]
            seconds = [rounded(line[column]) for column in ("seconds_fit", "private_seconds")]
            verdict = Text(explained(line), STYLES[line["verdict"]]) if first else ""
            table.add_row(*map(Text, (*head, line["candidate"], *cells, *seconds)), verdict)
        table.add_section()
    return table
