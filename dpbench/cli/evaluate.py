"""`dpbench evaluate`: score images made by another program, or add missing scores to finished trials."""

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

CLAIM = "Claims about IMAGES (recorded, not verified, never ranked)"

EPILOG = """
[bold]Images made by another program[/bold], with one sub-folder per class (its name or number) or without labels:

dpbench evaluate samples/ --dataset mnist --resolution 28 --name pe --eps 10 --delta 1e-5

dpbench evaluate gen.npz --dataset cifar10 --metrics fwd,accuracy

An .npz holds images as x, arr_0 or images (uint8, or floats in \\[0, 1]) and labels, if any, as y, arr_1 or labels.
The images are copied into the results folder, so that metrics can be added later; the same images are not scored twice.

[bold]Missing scores of finished trials[/bold], from their stored samples, without training:

dpbench evaluate --all --metrics fwd,accuracy

dpbench evaluate --all --dataset mnist,cifar10 --out results
"""


def evaluate(
    images: Annotated[
        Path | None,
        typer.Argument(
            metavar="IMAGES", help="A folder or zip of images, or an .npz file, in the dataset's resolution."
        ),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all", help="Score all finished trials instead: compute their missing scores.", rich_help_panel=WHAT
        ),
    ] = False,
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Dataset that IMAGES imitate; with --all, the datasets whose trials are scored.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    metrics: Annotated[
        str, typer.Option(metavar="LIST", help="Metrics to compute; all by default.", rich_help_panel=WHAT)
    ] = "",
    references: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Reference rows to add: real (the default), or none.", rich_help_panel=WHAT),
    ] = None,
    resolution: Resolution = None,
    public_benchmark: Annotated[
        bool,
        typer.Option(
            "--public-benchmark",
            help="Declare your image folder a public benchmark: nothing is withheld.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="Name of the row; by default the file's name.", rich_help_panel=CLAIM)
    ] = None,
    eps: Annotated[
        float | None, typer.Option(metavar="CLAIM", help="ε; 0 if only public data was used.", rich_help_panel=CLAIM)
    ] = None,
    delta: Annotated[float | None, typer.Option(metavar="CLAIM", help="δ.", rich_help_panel=CLAIM)] = None,
    public: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Public images used.", rich_help_panel=CLAIM)
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
        raise DpbenchError(f"{given[0]} is about IMAGES and does not go with --all: finished trials have their own")
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
    """Prints the leaderboard of the rows' datasets."""
    from dpbench.benchmark.scoring import known_columns
    from dpbench.cli.pages.leaderboard_page import leaderboard_page
    from dpbench.results.gathering import collect

    print_page(leaderboard_page(collect(out, known_columns(), sorted(set(rows["dataset"])))))
