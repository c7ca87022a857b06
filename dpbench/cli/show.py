"""`dpbench show`: explain a method, a refiner or a metric."""

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
    *("dataset", "epsilons", "delta", "preset", "settings", "samples", "resolution"),
    help={
        "dataset": "With --eps: the dataset whose plan to show; its files are not needed.",
        "epsilons": "Privacy budgets ε to calibrate the plan for, e.g. 1,10.",
    },
    epsilons=(),
)
def show(
    request: RunRequest,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A method, refiner or metric; with --eps also a variant, 'dp-sgd\\[steps=50]'."
        ),
    ],
) -> None:
    """Explain a method, refiner or metric; with --eps also where a method's budget goes."""
    from dpbench.cli.pages.catalog import plugin_page

    pages = [plugin_page(name)]
    if request.epsilons:
        if parse_variant(name).method not in METHODS.names():
            raise DpbenchError(f"'{name}' is not a method, and only a method has a plan; leave --eps out")
        from dpbench.benchmark.method_plan import method_plan
        from dpbench.cli.pages.plan_page import plan_page

        plans = [method_plan(replace(request, methods=(name,)), epsilon) for epsilon in request.epsilons]
        pages += [plan_page(plan) for plan in plans]
    for page in pages:
        print_page(page)
