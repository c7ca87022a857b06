"""`dpbench show`: explain a plugin."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from dpbench.benchmark.request import RunRequest
from dpbench.cli.completion import listed, plugins
from dpbench.cli.console import print_json, print_page
from dpbench.cli.options import JsonOption, takes
from dpbench.core.errors import DpbenchError
from dpbench.core.registries import METHODS
from dpbench.core.variants import parse_variant

if TYPE_CHECKING:
    from dpbench.benchmark.commands.method_plan import MethodPlan


@takes(
    *("dataset", "epsilons", "delta", "public", "preset", "settings", "samples", "resolution", "public_benchmark"),
    "data",
    help={
        "dataset": "Dataset whose settings and plan to show; its files are not needed.",
        "epsilons": "Privacy budgets ε to calibrate the plan for, e.g. 1,10; by default no plan is shown.",
        "public": "With auto:A,B,... the plan includes the private choice of one of these public sources.",
    },
    epsilons=(),
)
def show(
    request: RunRequest,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=listed(plugins),
            help="A method, a variant of it ('dp-sgd\\[steps=50]'), or another plugin that `dpbench list` shows.",
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Explain a plugin; for a method, also the settings that would run and, with --eps, where the budget goes."""
    from dpbench.benchmark.reporting.plugin_facts import plugin_facts

    plugins, plans = plugin_facts(name, request), _plans(name, request)
    if json:
        print_json({"plugins": [asdict(p) for p in plugins], "plans": [p.as_json() for p in plans]})
        return
    from dpbench.cli.pages.plan_page import plan_page
    from dpbench.cli.pages.plugin_page import plugin_page

    for page in [*(plugin_page(p, request.dataset) for p in plugins), *map(plan_page, plans)]:
        print_page(page)


def _plans(name: str, request: RunRequest) -> list[MethodPlan]:
    """The calibrated plan of a method at each requested ε."""
    if not request.epsilons:
        return []
    if parse_variant(name).method not in METHODS.names():
        raise DpbenchError(f"'{name}' is not a method, and only a method has a plan; leave --eps out")
    from dpbench.benchmark.commands.method_plan import method_plan

    return [method_plan(replace(request, methods=(name,)), epsilon) for epsilon in request.epsilons]
