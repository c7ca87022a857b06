"""`dpbench sample`: draw images from the model of a finished trial."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.benchmark.request import HOW, WHERE, RunRequest, split_names
from dpbench.cli.options import ResultsOption, TrialArgument, takes
from dpbench.core.counted import counted
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import expanded
from dpbench.core.specs import Conditions

DRAWN = "What to draw"

EPILOG = """
No private record is read, so the images have the guarantee of the trial, however many are drawn. The new folder holds
images/ (PNG files, in one folder per class), samples.npz (images and labels) and samples.png (a labelled grid).

dpbench sample results/shapes/wavelet/9f2c04d1a7b35e68 --count 1000

dpbench sample 9f2c --count 20 --labels 3,7 --seed 1 --out drawn

dpbench sample 9f2c --count 20 --prompts prompts.txt

dpbench sample 9f2c --plugin my_method.py
"""


@takes(
    *("prompts", "device", "precision"),
    help={
        "prompts": "File of prompts, one per line, to use in turn; the trial's own by default.",
        "plugins": "Python file or package with the trial's method; repeatable.",
    },
)
def sample(
    request: RunRequest,
    trial: TrialArgument,
    count: Annotated[int, typer.Option(metavar="N", help="Images to draw.", rich_help_panel=DRAWN)] = 100,
    labels: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Classes to draw, by name or number, in turn; all by default.", rich_help_panel=DRAWN
        ),
    ] = "",
    seed: Annotated[
        int | None,
        typer.Option(
            help="Random seed; by default the trial's own, which draws its stored samples again with the same --count.",
            rich_help_panel=HOW,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="New folder for the images; by default drawn/ in the trial's.", rich_help_panel=WHERE
        ),
    ] = None,
    results: ResultsOption = RunRequest.out,
) -> None:
    """Draw images from the model of a finished trial, at no privacy cost."""
    if labels and request.prompts:
        raise DpbenchError("give either --labels or --prompts, not both: a dataset has classes or captions")
    from dpbench.benchmark.prompts import read_prompts
    from dpbench.benchmark.trials.stored_model import load_model
    from dpbench.cli.display import open_display
    from dpbench.results.trial_search import find_trial

    with open_display() as display:
        model = load_model(find_trial(trial, expanded(results)), request, display)
        chosen = model.labels(split_names(labels)) if labels else ()
        prompts = read_prompts(request.prompts).texts if request.prompts else ()
        files = model.export(Conditions.balanced(count, chosen or prompts) if chosen or prompts else count, out, seed)
    print(f"{counted(count, 'image')} of {model.record}: {files.images} and {files.arrays}")
    print(f"on one sheet: {files.sheet}")
