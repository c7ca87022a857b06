"""`dpbench show`: explain a plugin."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from dpbench.benchmark.request import RunRequest
from dpbench.cli.console import print_page
from dpbench.cli.options import takes
from dpbench.core.errors import DpbenchError
from dpbench.core.registries import METHODS
from dpbench.core.variants import parse_variant


@takes(
    *("dataset", "epsilons", "delta", "preset", "settings", "samples", "resolution", "public_benchmark", "data"),
    help={
        "dataset": "Dataset whose settings and plan to show; its files are not needed.",
        "epsilons": "Privacy budgets ε to calibrate the plan for, e.g. 1,10; by default no plan is shown.",
    },
    epsilons=(),
)
def show(
    request: RunRequest,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A method, a variant of it ('dp-sgd\\[steps=50]'), or another plugin that `dpbench list` shows.",
        ),
    ],
) -> None:
    """Explain a method with the settings that would run, or another plugin; with --eps also where the budget goes."""
    from dpbench.cli.pages.plugin_page import plugin_page

    pages = [plugin_page(name, request)]
    if request.epsilons:
        if parse_variant(name).method not in METHODS.names():
            raise DpbenchError(f"'{name}' is not a method, and only a method has a plan; leave --eps out")
        from dpbench.benchmark.method_plan import method_plan
        from dpbench.cli.pages.plan_page import plan_page

        plans = [method_plan(replace(request, methods=(name,)), epsilon) for epsilon in request.epsilons]
        pages += [plan_page(plan) for plan in plans]
    for page in pages:
        print_page(page)
