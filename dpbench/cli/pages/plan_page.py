"""Where a method's budget goes, mechanism by mechanism, for `dpbench show --eps` and `dpbench privacy METHOD`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.benchmark.method_plan import MethodPlan
from dpbench.cli.pages.simple_table import simple_table
from dpbench.privacy.accounting import SECOND_DELTA, epsilon_pld


def plan_page(method: MethodPlan) -> RenderableType:
    """One row per mechanism, and what the whole plan costs."""
    spec, plan, budget = method.spec, method.plan, method.plan.budget
    size = f"{spec.n_train} records of {spec.channels}×{spec.resolution}×{spec.resolution}"
    title = f"plan of {method.title} on {spec.name} ({size}), ε = {budget.epsilon:.4g}, δ = {budget.delta:.3g}"
    headings = ("mechanism", "kind", "clip", "sampling rate", "releases", "noise multiplier", "ε alone")
    table = simple_table(title, *headings, left=2)
    for m in plan.mechanisms:
        alone = epsilon_pld([m.event()], budget.delta)
        numbers = (f"{m.clip:g}", f"{m.sampling_rate:.4g}", f"{m.releases}", f"{m.noise_multiplier:.4g}")
        table.add_row(m.name, type(m).__name__, *numbers, f"{alone:.4g}")
    spent = Text(
        f"ε of the whole plan: {plan.epsilon:.4g} by PLD, {plan.epsilon_rdp:.4g} by RDP; "
        f"{plan.epsilon_at_second_delta:.4g} at δ = {SECOND_DELTA:g}; Gaussian DP: μ = {plan.mu:.4g}"
    )
    return Group(table, spent)
