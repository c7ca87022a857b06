"""`dpbench list`: the available plugins."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dpbench.benchmark.request import RunRequest
from dpbench.cli.console import print_json, print_page
from dpbench.cli.options import JsonOption, takes


class Kind(StrEnum):
    """What `dpbench list` can list."""

    methods = "methods"
    datasets = "datasets"
    public = "public"
    metrics = "metrics"
    refiners = "refiners"
    extractors = "extractors"
    text_encoders = "text-encoders"
    generators = "generators"


@takes()
def list_(
    request: RunRequest,
    kind: Annotated[Kind | None, typer.Argument(help="What to list; everything by default.")] = None,
    json: JsonOption = False,
) -> None:
    """List methods, datasets, public sources, metrics, refiners, extractors, text encoders and generators."""
    from dpbench.benchmark.reporting.catalog import plugin_summaries

    kinds = [kind] if kind else list(Kind)
    if json:
        print_json({kind.value: plugin_summaries(kind) for kind in kinds})
        return
    from dpbench.cli.pages.plugin_table import plugin_table

    print_page(plugin_table(kinds))
