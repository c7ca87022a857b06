"""The table of noise multiplier, number of steps and ε, for `dpbench privacy` without a method."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from dpbench.cli.pages.simple_table import simple_table
from dpbench.privacy.accounting.composition import SECOND_DELTA
from dpbench.privacy.plan import CalibratedPlan

HEADINGS = ("rate", "steps", "noise", "ε", "δ", "ε by RDP", f"ε at {SECOND_DELTA:.0e}", "μ")


def conversion_table(plans: Sequence[CalibratedPlan], found: str) -> RenderableType:
    """One line per plan.

    Args:
        plans: plans of a single mechanism each; see `privacy.conversions.convert`.
        found: heading of the column that was computed from the others; it is printed in bold.
    """
    table = simple_table("", *HEADINGS, left=0)
    table.columns[HEADINGS.index(found)].style = "bold"
    for plan in plans:
        (m,) = plan.mechanisms
        table.add_row(
            f"{m.sampling_rate:.4g}",
            f"{m.releases}",
            f"{m.noise_multiplier:.4g}",
            f"{plan.epsilon:.4g}",
            f"{plan.budget.delta:.2g}",
            f"{plan.epsilon_rdp:.4g}",
            f"{plan.epsilon_at_second_delta:.4g}",
            f"{plan.mu:.4g}",
        )
    return table
