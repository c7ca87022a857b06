"""`dpbench audit`: test the ε that a method, or a query of `PrivateData`, claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from dpbench.benchmark.request import HOW, WHAT, RunRequest
from dpbench.cli.completion import OPTIONS
from dpbench.cli.console import complain, print_page
from dpbench.cli.options import takes
from dpbench.core.errors import DpbenchError

SIZE = "Size of the audit"

REFUTED = 1

EPILOG = """
An audit can refute an ε but not prove it. Canaries are records whose contribution is as large as the clip allows, \
each in its own direction; each is included in the data with probability 1/2. The method's own fit runs on public \
records and canaries under the plan for ε, and the audit guesses from the releases which canaries were included. More \
correct guesses than ε allows refute it at the stated confidence.

Lower bounds from one run are well below ε even for a correct implementation, especially at small ε, and a very large \
ε cannot be refuted. The audit therefore also measures noise, sampling and contributions: most mistakes show up there \
first.

The command exits with code 1 if a lower bound exceeds ε or a measurement contradicts the plan.

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
        "dataset": "Sensitive dataset; its images are not read.",
        "public": "Public images that replace the sensitive ones.",
    },
)
def audit(
    request: RunRequest,
    method: Annotated[
        str,
        typer.Argument(
            metavar="[METHOD]", autocompletion=OPTIONS["methods"], help="Method whose private phase is audited."
        ),
    ] = "",
    eps: Annotated[float, typer.Option(metavar="E", help="Claimed ε.", rich_help_panel=WHAT)] = 1.0,
    engines: Annotated[
        bool,
        typer.Option(
            "--engines",
            metavar="",
            help="Audit dp_sgd (with every gradient engine) and noisy_sum by many runs on a small model.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    records: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Maximum number of records; sampling rates are those of the whole dataset.",
            rich_help_panel=SIZE,
        ),
    ] = 4000,
    canaries: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of canaries; by default 3/4 of the records.", rich_help_panel=SIZE),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", help="Maximum DP-SGD steps; the noise is calibrated for them.", rich_help_panel=SIZE),
    ] = None,
    runs: Annotated[int, typer.Option(metavar="N", help="Runs per query, for --engines.", rich_help_panel=SIZE)] = 1000,
    confidence: Annotated[
        float, typer.Option(metavar="P", help="Confidence of each lower bound.", rich_help_panel=SIZE)
    ] = 0.99,
    prepare: Annotated[
        bool,
        typer.Option(
            "--prepare",
            metavar="",
            help="Train METHOD's public parts first; by default they are untrained.",
            rich_help_panel=HOW,
        ),
    ] = False,
) -> None:
    """Test a method's claimed ε with canaries among its private records."""
    if not method and not engines:
        raise DpbenchError("name a method, or give --engines, e.g. dpbench audit dp-merf --eps 1")
    from dpbench.benchmark.commands.method_audit import Size, audit_method, audit_queries, contradictions
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
