"""The page of `dpbench run --dry-run`: trials, plans and times."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.benchmark.commands.dry_run import DryRun
from dpbench.benchmark.timetable import STAGES
from dpbench.cli.pages.plan_page import plan_page
from dpbench.cli.pages.simple_table import simple_table
from dpbench.core.counted import counted

NO_TWIN = "; finished trials with the same settings, dataset and device tell it, and for some stages there is none"


def dry_run_page(run: DryRun, out: Path) -> RenderableType:
    """One row per trial, the calibrated plan of each method and ε, and the time of the whole run.

    Args:
        out: the folder of results.
    """
    spec = run.spec
    size = f"{spec.n_train:,} records of {spec.channels}×{spec.resolution}×{spec.resolution}"
    table = simple_table(
        f"{counted(len(run.trials), 'trial')} on {spec.name} ({size})", "trial", "to do", "time", left=2
    )
    table.columns[0].no_wrap, table.columns[-1].no_wrap = False, True  # a long variant must not hide the others
    for trial, stages, time in run.trials:
        to_do = ", ".join(STAGES[stage] for stage in stages)
        table.add_row(*map(Text, (str(trial), to_do or "nothing: it is finished", str(time) if stages else "")))
    plans = [part for plan in run.plans for part in (plan_page(plan), Text(""))]
    lines = (
        f"metrics: {', '.join(run.metrics) or 'none'}",
        f"results: {out}",
        f"time: {run.time}{NO_TWIN if run.time.is_least else ''}",
    )
    return Group(table, *plans, *map(Text, lines))
