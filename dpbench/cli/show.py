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
    from dpbench.benchmark.catalog import plan_page, plugin_page
    from dpbench.benchmark.sweep import parse_epsilons

    changed = parse_settings(settings or [])
    pages = [plugin_page(method)]
    for epsilon in parse_epsilons(eps) if eps else []:
        pages.append(
            plan_page(
                method,
                dataset,
                epsilon,
                delta=delta,
                preset=preset,
                settings=changed,
                samples=samples,
                resolution=resolution,
            )
        )
    for page in pages:
        print_page(page)
