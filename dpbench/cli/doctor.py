"""`dpbench doctor`: what this machine has, what it lacks, and how to fix that."""

from __future__ import annotations

from dataclasses import asdict

import typer

from dpbench.benchmark.request import RunRequest, split_names
from dpbench.cli.console import print_json, print_page
from dpbench.cli.options import JsonOption, takes

PROBLEM = 1
"""Exit code if there is a problem."""


@takes(
    *("dataset", "resolution", "data", "out"),
    help={"dataset": "Datasets to open and check, e.g. mnist,coco; for all others, only their folders are checked."},
    dataset="",
)
def doctor(
    request: RunRequest,
    json: JsonOption = False,
) -> None:
    """Check versions, devices, memory, folders, datasets, weights and optional packages, and suggest fixes."""
    from dpbench.benchmark.doctor.examination import examine

    checks = list(examine(request, split_names(request.dataset)))
    if json:
        print_json([asdict(check) for check in checks])
    else:
        from dpbench.cli.pages.doctor_page import doctor_page

        print_page(doctor_page(checks))
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(PROBLEM)
