"""Where a method's budget goes, mechanism by mechanism, for `dpbench show --eps` and `dpbench privacy METHOD`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.benchmark.commands.method_plan import MethodPlan
from dpbench.cli.pages.simple_table import simple_table
from dpbench.privacy.accounting.composition import SECOND_DELTA, epsilon_pld
from dpbench.privacy.mechanisms.mechanism import Mechanism, Segment


def plan_page(method: MethodPlan) -> RenderableType:
    """One row per mechanism, or per segment of its schedule, and the cost of the whole plan."""
    spec, plan, budget = method.spec, method.plan, method.plan.budget
    size = f"{spec.n_train} records of {spec.channels}×{spec.resolution}×{spec.resolution}"
    title = f"plan of {method.title} on {spec.name} ({size}), ε = {budget.epsilon:.4g}, δ = {budget.delta:.3g}"
    headings = ("mechanism", "kind", "clip", "sampling rate", "releases", "noise multiplier", "ε alone")
    table = simple_table(title, *headings, left=2)
    for m in plan.mechanisms:
        about = (m.name, type(m).__name__, f"{m.clip:g}")
        alone = f"{epsilon_pld(m.events(), budget.delta):.4g}"
        for s in m.segments:
            table.add_row(*about, *_of_segment(m, s), alone)
            about, alone = ("", "", ""), ""
    spent = Text(
        f"ε of the whole plan: {plan.epsilon:.4g} by PLD, {plan.epsilon_rdp:.4g} by RDP; "
        f"{plan.epsilon_at_second_delta:.4g} at δ = {SECOND_DELTA:g}; Gaussian DP: μ = {plan.mu:.4g}"
    )
    return Group(table, spent)


def _of_segment(m: Mechanism, s: Segment) -> tuple[str, str, str]:
    """Sampling rate, releases and noise multiplier."""
    assert m.noise_multiplier is not None
    return f"{m.sampling_rate * s.rate:.4g}", f"{s.releases}", f"{m.noise_multiplier * s.noise:.4g}"
