"""`dpbench check`: does a plugin keep the promises of its kind?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from dpbench.benchmark.request import RunRequest
from dpbench.cli.completion import listed, plugins
from dpbench.cli.console import print_lines
from dpbench.cli.options import takes
from dpbench.core.errors import UnknownName
from dpbench.core.registries import REGISTRIES
from dpbench.core.variants import parse_variant

EPILOG = (
    "A method trains on 200 images of 16×16 pixels; give it small settings: "
    "dpbench check dp-merf --set steps=3 --set batch=20. The exit code is 1 if a promise is broken."
)


@takes(
    *("settings", "data"),
    help={"settings": "Change a setting of the plugin (see `dpbench show NAME`); repeatable."},
)
def check(
    request: RunRequest,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=listed(plugins),
            help="A plugin of any kind; a dataset may have an argument, as in folder:PATH.",
        ),
    ],
) -> None:
    """Check on small data that a plugin keeps every promise that dpbench expects of its kind."""
    plain, own = parse_variant(name)
    known = [r for r in REGISTRIES if (plain.partition(":")[0] if r.kind == "dataset" else plain) in r.names()]
    if not known:
        raise UnknownName("plugin", plain, (other for registry in REGISTRIES for other in registry.names()))

    from dpbench.contracts.checking import case_of, verdicts

    broken = 0
    for registry in known:
        print_lines([f"{registry.kind} {plain}"])
        with tempfile.TemporaryDirectory() as folder:
            for verdict in verdicts(
                case_of(registry.kind, plain, Path(folder), {**request.settings, **own}, request.data)
            ):
                print_lines([f"  {'no ' if verdict.broken else 'yes'}  {verdict.promise} ({verdict.seconds:.1f} s)"])
                if verdict.broken:
                    broken += 1
                    print_lines([f"       {verdict.broken}"])
    if broken:
        print_lines([f"{broken} {'promise is' if broken == 1 else 'promises are'} broken"])
        raise typer.Exit(1)
    print_lines(["every promise is kept"])
