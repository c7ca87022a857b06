"""`dpbench run`: train, sample and score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.cli.console import complain, print_page
from dpbench.cli.options import (
    HOW,
    WHAT,
    Data,
    Delta,
    Device,
    Download,
    Out,
    Plugins,
    Precision,
    Preset,
    Resolution,
    Samples,
    Settings,
    load_plugins,
    split_names,
)
from dpbench.core.config import parse_settings
from dpbench.core.rank import is_rank_zero
from dpbench.core.variants import split_list

EPILOG = (
    "Finished trials are skipped and interrupted trials resume: run the same command again. "
    "To train on several GPUs: torchrun --nproc-per-node 2 -m dpbench run ..."
)


def run(
    method: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Methods, separated by commas; settings of a variant in brackets: 'wavelet,wavelet\\[codes=128]'.",
            rich_help_panel=WHAT,
        ),
    ],
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="Sensitive dataset, e.g. mnist or folder:PATH.", rich_help_panel=WHAT)
    ] = "shapes",
    eps: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Privacy budgets ε, e.g. 1,5,10; inf trains without noise.", rich_help_panel=WHAT
        ),
    ] = "1",
    delta: Delta = None,
    seeds: Annotated[
        int,
        typer.Option(
            metavar="N", help="Seeds per budget; the table then shows mean and 95% interval.", rich_help_panel=WHAT
        ),
    ] = 1,
    public: Annotated[
        str, typer.Option(metavar="NAME", help="Public images for methods that use public data.", rich_help_panel=WHAT)
    ] = "textures",
    references: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Reference rows: real (real images), public (ε = 0), nonprivate (ε = ∞); or none.",
            rich_help_panel=WHAT,
        ),
    ] = "real,public",
    preset: Preset = "small",
    settings: Settings = None,
    samples: Samples = 10_000,
    metrics: Annotated[
        str, typer.Option(metavar="LIST", help="Metrics to compute; all by default.", rich_help_panel=WHAT)
    ] = "",
    resolution: Resolution = None,
    public_benchmark: Annotated[
        bool,
        typer.Option(
            "--public-benchmark",
            help="Declare your image folder a public benchmark: nothing is withheld.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    device: Device = "auto",
    precision: Precision = "auto",
    force: Annotated[bool, typer.Option("--force", help="Run finished trials again.", rich_help_panel=HOW)] = False,
    download: Download = False,
    reproducible_noise: Annotated[
        int | None,
        typer.Option(metavar="SEED", help="Seed the noise, for tests only; rows are marked.", hidden=True),
    ] = None,
    data: Data = None,
    out: Out = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Train, sample and score: methods × budgets × seeds on one dataset."""
    load_plugins(plugin)
    from dpbench.benchmark.runner import run as run_trials
    from dpbench.benchmark.sweep import parse_epsilons
    from dpbench.cli.display import open_display
    from dpbench.cli.pages.leaderboard_page import leaderboard_page

    try:
        with open_display() as display:
            rows = run_trials(
                split_list(method),
                dataset,
                parse_epsilons(eps),
                delta=delta,
                seeds=seeds,
                public=public,
                references=[] if references == "none" else split_names(references),
                preset=preset,
                settings=parse_settings(settings or []),
                samples=samples,
                metrics=split_names(metrics) or None,
                device=device,
                precision=precision,
                data=data,
                download=download,
                resolution=resolution,
                public_benchmark=public_benchmark,
                out=out,
                force=force,
                noise_seed=reproducible_noise,
                display=display,
            )
    except KeyboardInterrupt:
        complain("interrupted", f"finished trials are kept in {out}; run the same command again to go on")
        raise
    if is_rank_zero():
        print_page(leaderboard_page(rows))
