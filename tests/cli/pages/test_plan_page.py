from __future__ import annotations

import io

from rich.console import Console

from dpbench.benchmark.commands.method_plan import MethodPlan
from dpbench.cli.pages.plan_page import plan_page
from dpbench.core.specs import DatasetSpec
from dpbench.privacy.calibration import priced
from dpbench.privacy.mechanisms.choices import NoisyMax
from dpbench.privacy.mechanisms.mechanism import NoisySum, Segment
from dpbench.privacy.plan import Plan


def test_a_schedule_has_a_line_per_segment_and_a_choice_its_own_kind() -> None:
    halves = (Segment(releases=2), Segment(releases=3, rate=2.0, noise=1.5))
    plan = Plan(
        NoisySum(name="sum", clip=1.0, rate=0.1, count=5, noise_multiplier=4.0, schedule=halves),
        NoisyMax(name="best", clip=1.0, noise_multiplier=10.0, candidates=3),
    )
    spec = DatasetSpec("test", 1, 4, 1000, 10, None, True)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(plan_page(MethodPlan("a method", spec, priced(plan, 1e-5))))
    lines = [line.split() for line in console.export_text().splitlines()]
    first = next(line for line in lines if line[:1] == ["sum"])
    assert first[:-1] == ["sum", "NoisySum", "1", "0.1", "2", "4"]
    assert lines[lines.index(first) + 1] == ["0.2", "3", "6"]
    assert any(line[:-1] == ["best", "NoisyMax", "1", "1", "1", "10"] for line in lines)
