"""`dpbench list`: what can be named."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dpbench.benchmark.request import RunRequest
from dpbench.cli.console import print_page
from dpbench.cli.options import takes


class Kind(StrEnum):
    """What `dpbench list` can list."""

    methods = "methods"
    datasets = "datasets"
    public = "public"
    metrics = "metrics"
    refiners = "refiners"
    extractors = "extractors"
    text_encoders = "text-encoders"


@takes()
def list_(
    request: RunRequest,
    kind: Annotated[Kind | None, typer.Argument(help="What to list; everything by default.")] = None,
) -> None:
    """List methods, datasets, public sources, metrics, refiners, extractors and text encoders."""
    from dpbench.cli.pages.catalog import plugin_table

    print_page(plugin_table([kind] if kind else list(Kind)))
