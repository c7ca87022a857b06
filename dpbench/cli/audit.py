"""`dpbench audit`: try to refute the ε that a method, or a query of the vault, claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from dpbench.benchmark.request import HOW, WHAT, RunRequest
from dpbench.cli.console import complain, print_page
from dpbench.cli.options import takes
from dpbench.core.errors import DpbenchError

SIZE = "How large the audit is"

REFUTED = 1

EPILOG = """
An audit cannot prove an ε, only refute it. Canaries are records whose contribution is the largest that the clip \
allows, each in a direction of its own; a fair coin puts each into the data or leaves it out. The method's own fit \
runs on public records and canaries, at the plan for ε, and from what it releases the audit guesses which canaries \
were in. More right guesses than ε allows refute it, at the stated confidence.

Bounds from one run lie well below ε where all is right, the more so the smaller ε, and a very large ε they cannot \
refute. So noise, samples and contributions are measured, too: most mistakes show there first.

The command fails (exit code 1) if a lower bound exceeds ε, or a measurement contradicts the plan.

[bold]Examples[/bold]

dpbench audit dp-merf --eps 1

dpbench audit wavelet --dataset mnist --eps 8 --canaries 4000 --records 8000

dpbench audit dp-sgd --eps 1 --set views=4 --set engine=opacus --steps 50

dpbench audit --engines --eps 8 --runs 5000

dpbench audit mine --plugin mine.py --eps 1 --prepare
"""


@takes(
    *("delta", "dataset", "public", "preset", "settings", "resolution", "device", "precision", "download", "data"),
    help={
        "dataset": "Sensitive dataset; not opened.",
        "public": "Public images that replace the sensitive ones.",
    },
)
def audit(
    request: RunRequest,
    method: Annotated[str, typer.Argument(metavar="[METHOD]", help="Method whose private phase is audited.")] = "",
    eps: Annotated[float, typer.Option(metavar="E", help="The ε that is claimed.", rich_help_panel=WHAT)] = 1.0,
    engines: Annotated[
        bool,
        typer.Option(
            "--engines",
            help="Audit dp_sgd by every gradient engine, and noisy_sum, by many runs on a small model.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    records: Annotated[
        int,
        typer.Option(
            metavar="N", help="Records at most, at the sampling rates of the whole dataset.", rich_help_panel=SIZE
        ),
    ] = 4000,
    canaries: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many of them are canaries; 3 in 4 by default.", rich_help_panel=SIZE),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", help="DP-SGD steps at most; noise is calibrated for them.", rich_help_panel=SIZE),
    ] = None,
    runs: Annotated[int, typer.Option(metavar="N", help="Runs per query, for --engines.", rich_help_panel=SIZE)] = 1000,
    confidence: Annotated[
        float, typer.Option(metavar="P", help="Confidence of each lower bound.", rich_help_panel=SIZE)
    ] = 0.99,
    prepare: Annotated[
        bool,
        typer.Option(
            "--prepare", help="Train METHOD's public parts first; by default they are untrained.", rich_help_panel=HOW
        ),
    ] = False,
) -> None:
    """Try to refute the ε of a method's private phase, with canaries in the vault."""
    if not method and not engines:
        raise DpbenchError("name a method, or give --engines, e.g. dpbench audit dp-merf --eps 1")
    from dpbench.benchmark.method_audit import Size, audit_method, audit_queries, contradictions
    from dpbench.cli.display import open_display
    from dpbench.cli.pages.audit_page import method_table, query_table

    size = Size(records, canaries, steps, runs, confidence)
    found = []
    if engines:
        with open_display() as display:
            findings = audit_queries(eps, size, display, delta=request.delta, device=request.device)
        print_page(query_table(findings, f"queries on a small model, ε = {eps:g}, confidence {confidence:g}"))
        found += findings
    if method:
        with open_display() as display:
            findings = audit_method(replace(request, methods=(method,)), eps, size, display, prepare)
        parts = "public parts trained" if prepare else "public parts untrained"
        print_page(
            method_table(findings, f"{method} on {request.dataset}, ε = {eps:g}, confidence {confidence:g} ({parts})")
        )
        found += findings
    refuted = list(contradictions(found, size))
    for line in refuted:
        complain("refuted", line)
    if refuted:
        raise typer.Exit(REFUTED)
