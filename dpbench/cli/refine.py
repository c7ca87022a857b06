"""`dpbench refine`: add detail to a folder of coarse images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.cli.options import HOW, Data, Device, Download, Plugins, Precision, load_plugins
from dpbench.core.config import parse_settings

REFINED = "Images and refiner"

EPILOG = (
    "The refiner is trained on public images to undo block means: a coarse pixel is the mean of the N x N pixels that "
    "replace it. Training takes about 90 seconds on two CPU cores for 32 x 32 images, and its result is cached. The "
    "refiner uses no private data, so the refined images have the same privacy guarantee as the coarse ones."
    "\n\nExample: dpbench refine --input coarse --out fine --scale 4 --public folder:photos"
)


def refine(
    input: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="DIR",
            help="Coarse images, grey or colour, all square and of the same size.",
            rich_help_panel=REFINED,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder for the refined images, under the same names, and a before/after sheet.",
            rich_help_panel=REFINED,
        ),
    ],
    refiner: Annotated[
        str, typer.Option(metavar="NAME", help="Refiner; see `dpbench list refiners`.", rich_help_panel=REFINED)
    ] = "residual",
    scale: Annotated[int, typer.Option(metavar="N", help="Upscaling factor: 2, 4, 8 ...", rich_help_panel=REFINED)] = 4,
    public: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Public images to learn detail from, as similar to yours as possible; see `dpbench list public`, e.g. "
            "folder:PATH.",
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
        int, typer.Option(help="Random seed of refiners that draw random detail.", rich_help_panel=HOW)
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
