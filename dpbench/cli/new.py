"""`dpbench new`: a starting package for your own plugin."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dpbench.cli.console import print_lines
from dpbench.core.folders import expanded
from dpbench.core.plugin_package import TRY, write_package


class Kind(StrEnum):
    """What `dpbench new` can make."""

    method = "method"
    dataset = "dataset"
    metric = "metric"
    refiner = "refiner"
    extractor = "extractor"


EPILOG = "Example: dpbench new method my-idea"


def new(
    kind: Annotated[Kind, typer.Argument(help="What to make.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name: lower-case words joined by hyphens.")],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where to make the package's folder.")] = Path(),
) -> None:
    """Write a small package to start from: a plugin that works, its test and a README."""
    made = write_package(kind, name, expanded(folder))
    print_lines(
        [
            f"{made}: a working {kind}; edit {made / name.replace('-', '_') / '__init__.py'}",
            "",
            f"pip install --editable {made}",
            f"dpbench check {name}",
            TRY[kind].format(name),
        ]
    )
