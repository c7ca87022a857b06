"""`dpbench refine`: add detail to a folder of coarse images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.benchmark.request import HOW, RunRequest
from dpbench.cli.completion import listed
from dpbench.cli.console import print_lines
from dpbench.cli.options import takes
from dpbench.core.counted import counted
from dpbench.core.registries import REFINERS

REFINED = "What to refine"

EPILOG = (
    "A coarse pixel is the mean of the N x N pixels that replace it, and the refiner learns from public images to undo "
    "such means. It trains once, for about a minute and a half on two cores for images of 32 x 32. A refiner that "
    "needs no public images, such as pretrained, ignores --public. No private record is used, so the full images have "
    "the same privacy guarantee as the coarse images."
    "\n\nExample: dpbench refine --input coarse --out fine --scale 4 --public folder:photos"
)


@takes(
    *("public", "settings", "out", "device", "precision", "download", "data"),
    help={
        "public": "Public images to learn detail from, the closer to yours the better: a name from `dpbench list "
        "public`, e.g. folder:PATH.",
        "settings": "Change a setting of the refiner (see `dpbench show residual`).",
        "out": "Folder for the full images, which keep their names, and for a sheet that compares them.",
    },
    out=...,
)
def refine(
    request: RunRequest,
    input: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="DIR",
            help="Coarse images, grey or colour, all square and of the same size.",
            rich_help_panel=REFINED,
        ),
    ],
    refiner: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=listed(REFINERS.names),
            help="Refiner; see `dpbench list refiners`.",
            rich_help_panel=REFINED,
        ),
    ] = "residual",
    scale: Annotated[
        int, typer.Option(metavar="N", help="How many times larger: 2, 4, 8 ...", rich_help_panel=REFINED)
    ] = 4,
    seed: Annotated[
        int,
        typer.Option(metavar="N", help="Seed of a random refiner: another seed, other detail.", rich_help_panel=HOW),
    ] = 0,
) -> None:
    """Add detail to a folder of coarse images, without using any private image."""
    from dpbench.benchmark.commands.refining import refine_folder
    from dpbench.cli.display import open_display

    with open_display() as display:
        done = refine_folder(refiner, input, scale, request, seed, display)
    sheet = f"; before and after: {done.sheet}" if done.sheet else ""
    print_lines([f"{counted(len(done.images), 'image')} in {request.out}{sheet}"])
