"""Images from captions: does it pay to spend the budget on the coarse band and to add detail with public models?

    python experiments/coarse_to_fine.py --dataset scenes
    python experiments/coarse_to_fine.py --dataset coco --public folder:photos --data DIR

The wavelet method, its controls and the methods that model whole images are trained on captioned images at every ε, and
sampled under the same prompts. Each method also has rows of its public part alone and of its training without noise.
The controls are `coarse=real` (tokens of real train images, which ignore the prompts), `tokens=all` (the budget spent
on all bands) and every detail stage that is installed; each is a separate trial.

Private compute is equal: every candidate computes as many private gradients (records × views × steps) as the first one
with its preset. The table has the time that this took.

Finished trials are skipped, so the same command continues after an interruption. The rows are written to
results/reference/coarse_to_fine-DATASET.csv, and a sheet of samples for the same prompts beside it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parent.parent))  # makes the script work from any folder

from dpbench.benchmark.request import DEFAULT_PRESET, parse_epsilons
from dpbench.core.data import DataOptions
from dpbench.core.errors import DpbenchError
from dpbench.core.registries import REFINERS
from dpbench.core.specs import DatasetSpec
from dpbench.core.variants import split_list
from dpbench.data.opening import default_root, open_dataset
from dpbench.methods.wavelet.settings import WaveletConfig
from dpbench.results.leaderboard_rows import write_csv
from dpbench.results.over_seeds import mean_and_ci95
from dpbench.results.rounding import rounded
from dpbench.results.samples import StoredSamples
from dpbench.results.trial_folder import safe_name
from dpbench.results.trial_search import find_trial
from experiments._candidates import Candidate, Entry, Request, Task, entries
from experiments._compute import gradients_of, with_equal_compute
from experiments._prompt_sheet import Column, write_prompt_sheet
from experiments._refinement import is_installed
from experiments._script import exit_if_failed, one_line_errors, run_framed
from experiments._verdict import finished_rows

PUBLIC = {"scenes": "still-lifes"}
"""The public source of each dataset; for photographs, --public names it."""

WAVELET = "wavelet"
REAL = "coarse=real"

METRICS = "fid,fwd,scales,lpips,texture,clip-score,caption-fidelity"

SHOWN = ("fid", "fwd", "fd_coarse", "fd_detail2", "fd_detail1", "lpips", "texture", "clip_score", "caption_fidelity",
         "caption_fidelity_shuffled")  # fmt: skip
"""Columns of the printed table; columns without values are left out."""

PUBLIC_PART, NO_NOISE = 0.0, math.inf
"""The ε of a reference row."""


def main(
    dataset: Annotated[str, typer.Option(metavar="NAME", help="captioned images: scenes, coco, mm-celeba-hq")],
    public: Annotated[str, typer.Option(metavar="NAME", help="public images; default for scenes: still-lifes")] = "",
    methods: Annotated[str, typer.Option(metavar="LIST", help="methods")] = "wavelet,dp-ldm,dp-ar,dp-sgd",
    controls: Annotated[
        str, typer.Option(metavar="LIST", help="settings of wavelet's controls; empty for all, or none")
    ] = "",
    eps: Annotated[str, typer.Option(metavar="LIST", help="privacy budgets ε")] = "1,10",
    seeds: Annotated[int, typer.Option(metavar="N", help="seeds per budget")] = 1,
    references: Annotated[str, typer.Option(metavar="LIST", help="reference rows, or none")] = "real,public,nonprivate",
    preset: Annotated[str, typer.Option(metavar="NAME", help="preset of all methods")] = DEFAULT_PRESET,
    samples: Annotated[int, typer.Option(metavar="N", help="images to generate and score per trial")] = 10_000,
    prompts: Annotated[Path | None, typer.Option(metavar="FILE", help="prompts, as for dpbench run")] = None,
    metrics: Annotated[str, typer.Option(metavar="LIST", help="metrics")] = METRICS,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, ...")] = "auto",
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of datasets, as for dpbench run")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder of trials")] = Path("results/coarse-to-fine"),
    report: Annotated[Path, typer.Option(metavar="DIR", help="folder of the CSV file and the sheet")] = Path(
        "results/reference"
    ),
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="parallel processes, one thread each")] = 2,
    table_only: Annotated[bool, typer.Option("--table-only", help="run no trials; report the finished ones")] = False,
) -> None:
    """Trains every candidate at every budget, and writes the table and the sheet."""
    with one_line_errors():
        spec = captioned(dataset, data)
        options = {"--device": device, "--metrics": metrics} | ({"--prompts": prompts} if prompts else {})
        framed = tuple(name for name in split_list(references) if name != "none")
        request = Request(tuple(parse_epsilons(eps)), seeds, samples, out, data, preset, framed, options)
        names = with_controls(split_list(methods), split_list(controls))
        candidates = with_equal_compute(names, dataset, spec, preset)
        task = Task(dataset, dataset, public or public_of(dataset), tuple(map(as_control, candidates)))
        competing = list(entries([task], request))
        failed = [] if table_only else run_framed(competing, request, jobs)
        write_report(competing, request, spec, report)
    exit_if_failed(failed)


def captioned(dataset: str, data: Path | None) -> DatasetSpec:
    """The declaration of a dataset with captions.

    Raises:
        DpbenchError: the dataset has no captions.
    """
    spec = open_dataset(dataset, DataOptions(data or default_root())).spec
    if spec.condition != "captions":
        raise DpbenchError(f"{dataset} has no captions; name a dataset that has, e.g. --dataset scenes")
    return spec


def public_of(dataset: str) -> str:
    """The public source of a dataset.

    Raises:
        DpbenchError: the dataset has no default; the user must name one.
    """
    if dataset not in PUBLIC:
        raise DpbenchError(f"name a public source of images for {dataset}, e.g. --public folder:photos")
    return PUBLIC[dataset]


def with_controls(methods: Sequence[str], controls: Sequence[str]) -> list[str]:
    """The methods and, if `wavelet` is among them, its controls: all controls if none is named."""
    if WAVELET not in methods or list(controls) == ["none"]:
        return list(methods)
    own = WaveletConfig().refiner.name
    stages = [f"refiner.name={name}" for name in REFINERS.names() if name != own and is_installed(name)]
    return [*methods, *(f"{WAVELET}[{setting}]" for setting in controls or (REAL, "tokens=all", *stages))]


def as_control(candidate: Candidate) -> Candidate:
    """The candidate, marked as unverified if it puts real images into its output."""
    return replace(candidate, unverified=REAL in candidate.method)


def write_report(competing: Sequence[Entry], request: Request, spec: DatasetSpec, folder: Path) -> None:
    """Writes the rows and the sheet from the finished trials and prints the table.

    Raises:
        DpbenchError: no trial is finished, or a file cannot be written.
    """
    rows = finished_rows(competing, request)
    name = f"coarse_to_fine-{safe_name(competing[0].dataset)}"
    write_csv(rows.drop(columns=["task", "candidate"]), folder / f"{name}.csv")
    Console(width=None if sys.stdout.isatty() else 200).print(table(rows, competing, request, spec))
    columns = [
        Column(candidate, budget(epsilon), samples_of(own["key"].iloc[0], request.out))
        for candidate, epsilon, own in groups(rows, competing, request)
    ]
    if columns:
        write_prompt_sheet(folder / f"{name}.png", columns, f"{spec.name}: samples for the same prompts, not selected")


def samples_of(key: str, out: Path) -> StoredSamples:
    """The images of a finished trial."""
    folder = find_trial(key, out)
    return folder.samples(folder.read_sampled())


def groups(rows: pd.DataFrame, competing: Sequence[Entry], request: Request) -> list[tuple[str, float, pd.DataFrame]]:
    """(candidate, ε, its rows over seeds) for all finished trials, in the order of the candidates."""
    epsilons = (PUBLIC_PART, *request.epsilons, NO_NOISE)
    found = [
        (e.candidate.name, epsilon, rows[(rows["candidate"] == e.candidate.name) & (rows["epsilon"] == epsilon)])
        for e in competing
        for epsilon in epsilons
    ]
    return [group for group in found if len(group[2])]


def budget(epsilon: float) -> str:
    """The name of a budget in tables."""
    return {PUBLIC_PART: "public part", NO_NOISE: "no noise"}.get(epsilon, f"ε = {epsilon:g}")


def table(rows: pd.DataFrame, competing: Sequence[Entry], request: Request, spec: DatasetSpec) -> Table:
    """Means over seeds, one line per candidate and ε; the last line has the real images."""
    shown = [name for name in SHOWN if name in rows and rows[name].notna().any()]
    gradients = {e.candidate.name: gradients_of(e.candidate, e.task.dataset, spec, request.preset) for e in competing}
    printed = Table("candidate", "budget", *shown, "private gradients", "private phase [s]", title=f"{spec.name}")
    for column in printed.columns[2:]:
        column.justify = "right"
    real = ("real", math.nan, rows[rows["candidate"] == "real"])
    for candidate, epsilon, own in [*groups(rows, competing, request), *([real] if len(real[2]) else [])]:
        cells = [rounded(*mean_and_ci95(own[name].dropna().tolist())) for name in shown]
        is_private = epsilon in request.epsilons
        cost = (f"{gradients[candidate]:,.0f}", rounded(own["seconds_fit"].mean())) if is_private else ("", "")
        printed.add_row(*map(Text, (candidate, "" if candidate == "real" else budget(epsilon), *cells, *cost)))
    return printed


if __name__ == "__main__":
    typer.run(main)
