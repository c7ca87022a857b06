"""`dpbench evaluate`: score images from elsewhere, or fill the empty cells of finished trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dpbench.cli.console import complain, print_page
from dpbench.cli.options import (
    WHAT,
    Data,
    Device,
    Download,
    Out,
    Plugins,
    Resolution,
    load_plugins,
    split_names,
)
from dpbench.core.errors import DpbenchError

CLAIM = "What is claimed for IMAGES: noted, neither verified nor ranked"

EPILOG = """
[bold]Images that another program made[/bold], in sub-folders per class (its name or number) or without labels:

dpbench evaluate samples/ --dataset mnist --resolution 28 --name pe --eps 10 --delta 1e-5

dpbench evaluate gen.npz --dataset cifar10 --metrics fwd,accuracy

An .npz holds images as x, arr_0 or images (uint8, or floats in \\[0, 1]) and labels, if any, as y, arr_1 or labels.
The images are copied into the results, so metrics can be added later; the same images are never scored twice.

[bold]What finished trials lack[/bold], from their stored samples, without training:

dpbench evaluate --all --metrics fwd,accuracy

dpbench evaluate --all --dataset mnist,cifar10 --out results
"""


def evaluate(
    images: Annotated[
        Path | None,
        typer.Argument(metavar="IMAGES", help="A folder or zip of images, or an .npz file, of the dataset's size."),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option("--all", help="Instead: fill the empty cells of all finished trials.", rich_help_panel=WHAT),
    ] = False,
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Dataset that IMAGES imitate; with --all, only trials on these.", rich_help_panel=WHAT
        ),
    ] = "",
    metrics: Annotated[
        str, typer.Option(metavar="LIST", help="Metrics to compute; all by default.", rich_help_panel=WHAT)
    ] = "",
    references: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Rows to read IMAGES against: real (the default), or none.", rich_help_panel=WHAT
        ),
    ] = None,
    resolution: Resolution = None,
    public_benchmark: Annotated[
        bool,
        typer.Option(
            "--public-benchmark",
            help="Declare your folder of images public: nothing is held back.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="What the row is called; the file's name by default.", rich_help_panel=CLAIM)
    ] = None,
    eps: Annotated[
        float | None, typer.Option(metavar="CLAIM", help="ε; 0 is public data alone.", rich_help_panel=CLAIM)
    ] = None,
    delta: Annotated[float | None, typer.Option(metavar="CLAIM", help="δ.", rich_help_panel=CLAIM)] = None,
    public: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Public images that were used.", rich_help_panel=CLAIM)
    ] = None,
    device: Device = "auto",
    download: Download = False,
    data: Data = None,
    out: Out = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Score images that another program made, or add metrics to finished trials."""
    load_plugins(plugin)
    about_images = {
        "--name": name,
        "--eps": eps,
        "--delta": delta,
        "--public": public,
        "--resolution": resolution,
        "--references": references,
        "--public-benchmark": public_benchmark or None,
    }
    if images is None and not all_:
        raise DpbenchError("give IMAGES (a folder, a zip or an .npz) to score them, or --all to score finished trials")
    if images is not None and all_:
        raise DpbenchError("give either IMAGES to score them, or --all to score finished trials, not both")
    if all_ and (given := [option for option, value in about_images.items() if value is not None]):
        raise DpbenchError(f"{given[0]} is about IMAGES; finished trials (--all) know theirs")
    if images is not None and not dataset:
        raise DpbenchError("say with --dataset which dataset the images imitate; `dpbench list datasets` lists some")
    from dpbench.benchmark.external import evaluate as evaluate_images
    from dpbench.benchmark.rescoring import Unscored, evaluate_all
    from dpbench.cli.display import open_display

    chosen = split_names(metrics) or None
    try:
        with open_display() as display:
            where: dict[str, Any] = {"data": data, "download": download, "device": device, "display": display}
            if images is None:
                rows = evaluate_all(out, chosen, datasets=split_names(dataset), **where)
            else:
                rows = evaluate_images(
                    images,
                    dataset,
                    name=name,
                    epsilon=eps,
                    delta=delta,
                    public=public or "",
                    references=[] if references == "none" else split_names(references or "real"),
                    metrics=chosen,
                    resolution=resolution,
                    public_benchmark=public_benchmark,
                    out=out,
                    **where,
                )
    except Unscored as failure:
        _show(failure.rows, out)
        raise
    except KeyboardInterrupt:
        complain("interrupted", f"finished trials are kept in {out}; run the same command again to go on")
        raise
    _show(rows, out)


def _show(rows: Any, out: Path) -> None:
    """The leaderboard of the rows' datasets: all that they are to be read beside."""
    from dpbench.benchmark.scoring import known_columns
    from dpbench.cli.pages.leaderboard_page import leaderboard_page
    from dpbench.results.gathering import collect

    print_page(leaderboard_page(collect(out, known_columns(), sorted(set(rows["dataset"])))))
