"""`dpbench privacy`: convert, price and propose budgets."""

from __future__ import annotations

from typing import Annotated

import typer

from dpbench.cli.console import print_page
from dpbench.cli.options import (
    WHAT,
    Data,
    Delta,
    Device,
    Download,
    Plugins,
    Precision,
    Preset,
    Resolution,
    Samples,
    Settings,
    load_plugins,
)
from dpbench.core.config import parse_settings

NUMBERS, PROPOSAL = "Without a method: two of --eps, --noise and --steps give the third", "Proposals"

EPILOG = """
[bold]Noise, ε or steps from the other two[/bold]

dpbench privacy --records 60000 --batch 2048 --steps 150 --eps 1,10

dpbench privacy --records 60000 --batch 2048 --steps 150 --noise 1.5

dpbench privacy --records 60000 --batch 2048 --noise 2 --eps 1

[bold]What a method's plan costs, mechanism by mechanism[/bold]

dpbench privacy dp-feta --dataset mnist --eps 1,10

dpbench privacy dp-feta --dataset mnist --noise 1.5

[bold]Which batch, steps and trained weights to take, judged by gradients on public images[/bold]

dpbench privacy wavelet --dataset mnist --public omniglot --eps 1,10 --propose

dpbench run --method wavelet --dataset mnist --public omniglot --eps 1,10 --set steps=auto
"""


def privacy(
    method: Annotated[
        str, typer.Argument(metavar="[METHOD]", help="Whose plan; none to work with numbers alone.")
    ] = "",
    eps: Annotated[str, typer.Option(metavar="LIST", help="Budgets ε, e.g. 1,10.", rich_help_panel=WHAT)] = "",
    noise: Annotated[
        float | None,
        typer.Option(
            metavar="SIGMA",
            help="Noise multiplier; of a METHOD's plan, the scale that the free ones share.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    delta: Delta = None,
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="Sensitive dataset of a METHOD; not opened.", rich_help_panel=WHAT)
    ] = "shapes",
    preset: Preset = "small",
    settings: Settings = None,
    samples: Samples = 10_000,
    resolution: Resolution = None,
    records: Annotated[
        int | None, typer.Option(metavar="N", help="Records of the sensitive split.", rich_help_panel=NUMBERS)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(metavar="N", help="Expected records per step (Poisson).", rich_help_panel=NUMBERS)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="Q", help="Sampling rate, in place of --batch.", rich_help_panel=NUMBERS)
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Private steps.", rich_help_panel=NUMBERS)] = None,
    propose: Annotated[
        bool,
        typer.Option(
            "--propose", help="Measure METHOD's gradients on public images, and propose.", rich_help_panel=PROPOSAL
        ),
    ] = False,
    public: Annotated[
        str, typer.Option(metavar="NAME", help="Public images to pretrain and measure on.", rich_help_panel=PROPOSAL)
    ] = "textures",
    compute: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            help="batch × steps × views to propose for; METHOD's own by default.",
            rich_help_panel=PROPOSAL,
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    download: Download = False,
    data: Data = None,
    plugin: Plugins = None,
) -> None:
    """Convert between noise, steps and ε, price a method's plan, or propose a better one."""
    load_plugins(plugin)
    from dpbench.benchmark.conversions import Numbers
    from dpbench.benchmark.privacy_command import privacy_pages

    pages = privacy_pages(
        method,
        eps,
        noise,
        Numbers(records, batch, rate, steps),
        delta=delta,
        plan={
            "dataset": dataset,
            "preset": preset,
            "settings": parse_settings(settings or []),
            "samples": samples,
            "resolution": resolution,
        },
        proposal={
            "public": public,
            "compute": compute,
            "device": device,
            "precision": precision,
            "download": download,
            "data": data,
        }
        if propose
        else None,
    )
    for page in pages:
        print_page(page)
