"""`dpbench weights`: lists pretrained weights and downloads them; nothing else does."""

from __future__ import annotations

from typing import Annotated

import typer

from dpbench.cli.console import print_page

app = typer.Typer(
    help="Get the pretrained weights that some metrics need.",
    no_args_is_help=True,
    epilog="Files that are here already are found in $DPBENCH_WEIGHTS (as published; those of a hub repository in a "
    "folder of its name), the cache of dpbench, and the caches of torch hub, clean-fid and the Hugging Face hub."
    "\n\nExample: dpbench weights get inception",
)


@app.command("list")
def list_() -> None:
    """List weights: size, whether they are here and where, what they unlock."""
    from dpbench.benchmark.weights_command import weights_table

    print_page(weights_table())


@app.command()
def get(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names that `dpbench weights list` lists, or all.")
    ],
) -> None:
    """Download weights and check them; an interrupted download of a file starts over."""
    from dpbench.benchmark.display import open_display
    from dpbench.benchmark.weights_command import get_weights

    with open_display() as display:
        get_weights(names, display)
