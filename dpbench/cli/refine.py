"""`dpbench refine`: add detail to a folder of coarse images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.cli.options import HOW, Data, Device, Download, Plugins, Precision, load_plugins
from dpbench.core.config import parse_settings

REFINED = "What is refined"

EPILOG = (
    "A coarse pixel stands for the mean of the N x N pixels that it becomes, and the refiner is trained to undo "
    "such means on public images. That takes about a minute and a half on two cores for images of 32 x 32, and is "
    "done once. It meets no private record, so whatever guarantee the coarse images have, the full ones have, too."
    "\n\nExample: dpbench refine --input coarse --out fine --scale 4 --public folder:photos"
)


def refine(
    input: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="DIR",
            help="Coarse images, all squares of one size, grey or colour.",
            rich_help_panel=REFINED,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where the full images go, each under its name, and a sheet to compare them on.",
            rich_help_panel=REFINED,
        ),
    ],
    refiner: Annotated[
        str, typer.Option(metavar="NAME", help="A name that `dpbench list refiners` lists.", rich_help_panel=REFINED)
    ] = "residual",
    scale: Annotated[
        int, typer.Option(metavar="N", help="How many times larger: 2, 4, 8 ...", rich_help_panel=REFINED)
    ] = 4,
    public: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Public images to learn detail from, the closer to yours the better: a name that `dpbench list "
            "public` lists, e.g. folder:PATH.",
            rich_help_panel=REFINED,
        ),
    ] = "textures",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the refiner (see `dpbench show residual`).",
            rich_help_panel=REFINED,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of a random refiner: another seed, other detail.", rich_help_panel=HOW)
    ] = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    download: Download = False,
    data: Data = None,
    plugin: Plugins = None,
) -> None:
    """Add detail to a folder of coarse images, learnt from public images alone."""
    load_plugins(plugin)
    from dpbench.benchmark.refining import refine as refine_folder
    from dpbench.cli.display import open_display

    with open_display() as display:
        done = refine_folder(
            refiner,
            input,
            out,
            scale,
            public=public,
            settings=parse_settings(settings or []),
            data=data,
            download=download,
            device=device,
            precision=precision,
            seed=seed,
            display=display,
        )
    count = len(done.images)
    print(f"{count} image{'s'[: count > 1]} in {out}; before and after: {done.sheet}")
