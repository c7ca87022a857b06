"""Tables of audit findings, for `dpbench audit`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.cli.pages.simple_table import simple_table
from dpbench.privacy.auditing.findings import Finding

ONE_RUN = "ε ≥ δ: lower bound by (ε, δ)-DP (2305.08846); ε ≥ f: by the plan's trade-off curve (2410.22235)"
MANY_RUNS = "ε ≥ f: lower bound from runs with and without one record, by the plan's trade-off curve"


def method_table(findings: Sequence[Finding], title: str) -> RenderableType:
    """The table of one run with canaries, one line per mechanism.

    Args:
        findings: the result of `audit_method`.
        title: what was audited, and how.
    """
    table = simple_table(title, "mechanism", "releases", "canaries", "right", "ε", "ε ≥ δ", "ε ≥ f", "seconds", left=1)
    for f in findings:
        assert f.guesses is not None
        right = f"{f.guesses.right}/{f.guesses.made}"
        bounds = (f"{f.claimed:.3g}", f"{f.by_epsilon:.2f}", f"{f.by_curve:.2f}")
        table.add_row(f.subject, f"{f.releases}", f"{f.trials}", right, *bounds, f"{f.seconds:.1f}")
    return Group(table, *_measured(findings), Text(ONE_RUN, style="dim"))


def query_table(findings: Sequence[Finding], title: str) -> RenderableType:
    """The table of many runs on the small model, one line per query.

    Args:
        findings: the result of `audit_queries`.
        title: what was audited, and how.
    """
    table = simple_table(title, "query", "releases per run", "runs", "ε", "ε ≥ f", "seconds", left=1)
    for f in findings:
        bounds = (f"{f.claimed:.3g}", f"{f.by_curve:.2f}")
        table.add_row(f.subject, f"{f.releases}", f"{f.trials}", *bounds, f"{f.seconds:.1f}")
    return Group(table, *_measured(findings), Text(MANY_RUNS, style="dim"))


def _measured(findings: Sequence[Finding]) -> Iterator[Text]:
    """Measured noise and contributions, one line per subject."""
    for f in findings:
        parts = [] if f.noise is None else [f"noise {f.noise} × planned"]
        parts += [] if f.contribution is None else [f"contributions {f.contribution} × clip"]
        if parts:
            yield Text(f"{f.subject}: measured {', '.join(parts)}")
