"""`dpbench export`: one file with the model, the samples and the model card of a finished trial."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.benchmark.request import RunRequest
from dpbench.cli.options import ResultsOption, TrialArgument, takes

EPILOG = """
The zip file holds the model, the samples, README.md (the model card), the ledger, the settings, checksums and, for a
public benchmark, the scores. Unpacked, it is a folder that `dpbench sample` accepts. Once you edit README.md, later
exports leave it as it is. Read it before you publish it: it names folders as the trial's command did.

dpbench export results/shapes/wavelet/9f2c04d1a7b35e68

dpbench export 9f2c --out wavelet.zip --without-samples
"""


@takes(help={"plugins": "Python file or package with the trial's method, which the card describes; repeatable."})
def export(
    request: RunRequest,
    trial: TrialArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="New zip file; by default METHOD-KEY.zip in the current folder."),
    ] = None,
    without_samples: Annotated[
        bool, typer.Option("--without-samples", metavar="", help="Leave the images out; the model can draw them again.")
    ] = False,
    results: ResultsOption = RunRequest.out,
) -> None:
    """Pack a finished trial into one file: model, samples, model card, ledger and settings."""
    from dpbench.benchmark.commands import exporting
    from dpbench.cli.display import open_display

    with open_display() as display:
        packed = exporting.export(trial, results, out=out, samples=not without_samples, display=display)
    print(f"{packed.record}: {packed.path}")
    print(f"card: {packed.card}{' (edited, so left as it is)' if packed.card_is_own else ''}")
