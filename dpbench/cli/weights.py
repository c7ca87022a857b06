"""`dpbench weights`: lists and downloads pretrained weights; no other command downloads them."""

from __future__ import annotations

from typing import Annotated

import typer

from dpbench.cli.console import print_page

ALL = "all"

app = typer.Typer(
    help="Get the pretrained weights that some metrics and detail stages need.",
    no_args_is_help=True,
    epilog="Existing files are found in $DPBENCH_WEIGHTS (under their published names; files of a hub repository in a "
    "folder named after it), in dpbench's cache, and in the caches of torch hub, clean-fid and the Hugging Face hub."
    "\n\nExample: dpbench weights get inception",
)


@app.command("list")
def list_() -> None:
    """List pretrained weights: size, location, and what needs them."""
    from dpbench.cli.pages.weights_page import weights_table

    print_page(weights_table())


def _weights(incomplete: str) -> list[str]:
    from dpbench.models.pretrained.published import WEIGHTS

    return [*WEIGHTS, ALL]


@app.command()
def get(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", autocompletion=_weights, help="Names from `dpbench weights list`, or all."),
    ],
) -> None:
    """Download weights and check them; an interrupted download of a file starts over."""
    from dpbench.cli.display import open_display
    from dpbench.cli.pages.weights_page import describe_location
    from dpbench.models.pretrained.downloads import fetch
    from dpbench.models.pretrained.published import WEIGHTS, named

    wanted = {name: named(name) for asked in names for name in (WEIGHTS if asked == ALL else [asked])}
    with open_display() as display:
        for name, weights in wanted.items():
            new = [fetch(file, display) for file in weights.files]
            display.say(f"{name}: {'downloaded' if any(new) else 'already here'}, {describe_location(weights)}")
