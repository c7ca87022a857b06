"""`dpbench export`: one file with the model, the samples and the card of a finished trial."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.benchmark.request import RunRequest
from dpbench.cli.options import ResultsOption, TrialArgument, takes

EPILOG = """
The file has the model, the samples, README.md (the card), the ledger, the settings, checksums, and the scores of a
public benchmark. Unpacked, it is a folder that `dpbench sample` takes. README.md is yours once you edit it. Read it
before you publish it: it names folders as the command did.

dpbench export results/shapes/wavelet/9f2c04d1a7b35e68

dpbench export 9f2c --out wavelet.zip --without-samples
"""


@takes(help={"plugins": "Python file or package with the trial's method, for what the card says of it; repeatable."})
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
    from dpbench.benchmark import exporting
    from dpbench.cli.display import open_display

    with open_display() as display:
        packed = exporting.export(trial, results, out=out, samples=not without_samples, display=display)
    print(f"{packed.record}: {packed.path}")
    print(f"card: {packed.card}{' (edited, so left as it is)' if packed.card_is_own else ''}")
