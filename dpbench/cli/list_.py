"""`dpbench list`: what can be named."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dpbench.cli.console import print_page
from dpbench.cli.options import Plugins, load_plugins


class Kind(StrEnum):
    """What `dpbench list` can list."""

    methods = "methods"
    datasets = "datasets"
    public = "public"
    metrics = "metrics"
    refiners = "refiners"


def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    plugin: Plugins = None,
) -> None:
    """List methods, datasets, public sources, metrics or refiners."""
    load_plugins(plugin)
    from dpbench.cli.pages.catalog import plugin_table

    print_page(plugin_table(kind))
