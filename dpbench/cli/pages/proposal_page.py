"""Candidates for batch, steps and trained weights, for `dpbench privacy METHOD --propose`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.benchmark.commands.proposals import Proposal
from dpbench.cli.pages.simple_table import simple_table

HEADINGS = ("", "trainable", "weights", "batch", "steps", "noise multiplier", "step SNR", "progress")


def proposal_page(proposal: Proposal) -> RenderableType:
    """All candidates with the best one marked, the measured gradients, and the settings to paste into a command."""
    p, best = proposal, proposal.best
    title = f"{p.method.name} on {p.dataset}, ε = {p.epsilon:g}, measured on {p.public}"
    table = simple_table(title, *HEADINGS, left=2)
    for trainable, candidates in p.candidates.items():
        for c in candidates:
            m = c.mechanism
            as_set = "as set" if p.is_configured(trainable, c) else ""
            mark, style = ("best", "bold") if c is best else (as_set, "")
            numbers = (f"{c.gradients.weights:,}", f"{m.expected_batch}", f"{m.steps}", f"{m.noise_multiplier:.4g}")
            table.add_row(mark, trainable, *numbers, f"{c.snr:.2g}", f"{c.progress / best.progress:.2f}", style=style)
    measured = (
        f"mean clipped gradient {best.gradients.signal:.3g}, root mean square of the records' own "
        f"{best.gradients.rms:.3g}, clip {best.mechanism.clip:g}"
    )
    return Group(table, Text(measured), Text(" ".join(f"--set {key}={value}" for key, value in p.settings.items())))
