"""`dpbench evaluate`: score images from another program, or fill the empty cells of finished trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from dpbench.benchmark.request import WHAT, RunRequest, split_names
from dpbench.cli.console import print_page
from dpbench.cli.options import takes
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import expanded

CLAIM = "Claims about IMAGES: noted, not verified, not ranked"

EPILOG = """
[bold]Images from another program[/bold], with one sub-folder per class (its name or number) or without labels:

dpbench evaluate samples/ --dataset mnist --resolution 28 --name pe --eps 10 --delta 1e-5

dpbench evaluate gen.npz --dataset cifar10 --metrics fwd,accuracy

An .npz holds the images as x, arr_0 or images (uint8, or floats in \\[0, 1]) and the labels, if any, as y, arr_1 or
labels. Labels count from 0 in the order of the dataset's classes.
The images are copied into the results folder, so that metrics can be added later; the same images are not scored twice.

[bold]Missing scores of finished trials[/bold], from their stored samples, without training:

dpbench evaluate --all --metrics fwd,accuracy

dpbench evaluate --all --dataset mnist,cifar10 --out results
"""


@takes(
    *(
        "dataset",
        "metrics",
        "protocol",
        "references",
        "resolution",
        "public_benchmark",
        "device",
        "download",
        "data",
        "out",
    ),
    help={
        "dataset": "Dataset that IMAGES imitate; with --all, only trials on these datasets.",
        "references": "Reference rows for IMAGES: real, or none.",
    },
    dataset="",
    references=("real",),
)
def evaluate(
    request: RunRequest,
    images: Annotated[
        Path | None,
        typer.Argument(
            metavar="IMAGES",
            help="A folder or zip of images, an .npz file, or a folder that `dpbench sample` or a trial wrote, in the "
            "dataset's resolution.",
        ),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all", metavar="", help="Fill the empty cells of all finished trials instead.", rich_help_panel=WHAT
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the row; the file's name by default.", rich_help_panel=CLAIM),
    ] = None,
    eps: Annotated[
        float | None, typer.Option(metavar="CLAIM", help="ε; 0 if only public data was used.", rich_help_panel=CLAIM)
    ] = None,
    delta: Annotated[float | None, typer.Option(metavar="CLAIM", help="δ.", rich_help_panel=CLAIM)] = None,
    public: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Public images used.", rich_help_panel=CLAIM)
    ] = None,
) -> None:
    """Score images from another program, or add metrics to finished trials."""
    claims = {"--name": name, "--eps": eps, "--delta": delta, "--public": public}
    about_images = {"--resolution": request.resolution, "--public-benchmark": request.public_benchmark or None}
    if images is None and not all_:
        raise DpbenchError("give IMAGES (a folder, a zip or an .npz) to score them, or --all to score finished trials")
    if images is not None and all_:
        raise DpbenchError(
            "give either IMAGES to score them, or --all to score the finished trials in --out DIR, not both"
        )
    if all_ and (given := [flag for flag, value in (claims | about_images).items() if value is not None]):
        raise DpbenchError(f"{given[0]} is about IMAGES; finished trials (--all) have their own")
    if images is not None and not request.dataset:
        raise DpbenchError(
            "name the dataset that the images imitate: --dataset NAME; `dpbench list datasets` lists some"
        )
    from dpbench.benchmark.commands.evaluating import Claim, evaluate_images, stem
    from dpbench.benchmark.commands.rescoring import Unscored, rescore
    from dpbench.cli.display import open_display

    try:
        with open_display() as display:
            if images is None:
                rows = rescore(replace(request, dataset=RunRequest.dataset), split_names(request.dataset), display)
            else:
                path = expanded(images)
                claim = Claim(stem(path) if name is None else name, eps, delta, public or "")
                rows = evaluate_images(path, claim, request, display)
    except Unscored as failure:
        _show(failure.rows, request)
        raise
    except KeyboardInterrupt as stop:
        stop.add_note(f"finished trials are kept in {request.out}; the same command continues")
        raise
    _show(rows, request)


def _show(rows: Any, request: RunRequest) -> None:
    """Shows the leaderboard of the rows' datasets, with the columns of the requested metrics."""
    from dpbench.cli.pages.leaderboard_page import leaderboard_page
    from dpbench.results.leaderboard_rows import collect
    from dpbench.results.metric_columns import asked_columns

    gathered = collect(request.out, sorted(set(rows["dataset"])))
    columns = asked_columns(request.named_metrics)
    print_page(leaderboard_page(gathered, columns))
