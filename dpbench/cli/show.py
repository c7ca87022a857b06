"""`dpbench show`: explain a method, a refiner or a metric."""

from __future__ import annotations

from typing import Annotated

import typer

from dpbench.cli.console import print_page
from dpbench.cli.options import Delta, Plugins, Preset, Resolution, Samples, Settings, load_plugins
from dpbench.core.config import parse_settings


def show(
    method: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A method, refiner or metric; with --eps also a variant, 'dp-sgd\\[steps=50]'."
        ),
    ],
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="With --eps: the dataset whose plan to show; its files are not needed.")
    ] = "shapes",
    eps: Annotated[str, typer.Option(metavar="LIST", help="Budgets ε to calibrate the plan for, e.g. 1,10.")] = "",
    delta: Delta = None,
    preset: Preset = "small",
    settings: Settings = None,
    samples: Samples = 10_000,
    resolution: Resolution = None,
    plugin: Plugins = None,
) -> None:
    """Explain a method, refiner or metric; with --eps also where a method's budget goes."""
    load_plugins(plugin)
    from dpbench.cli.pages.catalog import plugin_page

    changed = parse_settings(settings or [])
    pages = [plugin_page(method)]
    if eps:
        from dpbench.benchmark.method_plan import method_plan
        from dpbench.benchmark.sweep import parse_epsilons
        from dpbench.cli.pages.plan_page import plan_page

        for epsilon in parse_epsilons(eps):
            plan = method_plan(
                method,
                dataset,
                epsilon,
                delta=delta,
                preset=preset,
                settings=changed,
                samples=samples,
                resolution=resolution,
            )
            pages.append(plan_page(plan))
    for page in pages:
        print_page(page)
