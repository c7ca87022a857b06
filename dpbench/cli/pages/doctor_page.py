"""The findings of `dpbench doctor`, one table per topic."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.benchmark.doctor.machine_check import Check
from dpbench.cli.pages.simple_table import simple_table
from dpbench.core.counted import counted

STYLES = {"ok": "green", "absent": "yellow", "problem": "bold red"}


def doctor_page(checks: Sequence[Check]) -> RenderableType:
    """All checks with their advice, and how many problems there are."""
    tables = [_table(topic, checks) for topic in dict.fromkeys(check.topic for check in checks)]
    problems = sum(check.state == "problem" for check in checks)
    return Group(*tables, Text(counted(problems, "problem"), style="bold"))


def _table(topic: str, checks: Sequence[Check]) -> RenderableType:
    table = simple_table(topic, "name", "state", "found, and what to do", left=3)
    for check in checks:
        if check.topic == topic:
            advice = ("\n" * bool(check.advice) + check.advice, "dim")
            about = Text.assemble(check.found, advice, overflow="fold")
            table.add_row(Text(check.name), Text(check.state, style=STYLES[check.state]), about)
    return table
