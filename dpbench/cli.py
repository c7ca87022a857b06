"""The command line: it parses, calls and prints. Nothing heavier than Typer is imported until a command runs."""

from __future__ import annotations

import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dpbench import __version__
from dpbench.core.config import parse_settings
from dpbench.core.errors import DpbenchError
from dpbench.core.registry import load_plugin_file
from dpbench.core.variants import split_list

INTERRUPTED = 130  # 128 + SIGINT


class Commands(TyperGroup):
    """Turns what a user can mend into one line and exit code 2, and warnings into one line each."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a command."""
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except DpbenchError as error:
                _complain("error", error)
                raise typer.Exit(2) from error
            except KeyboardInterrupt as error:
                raise typer.Exit(INTERRUPTED) from error


def _complain(what: str, message: object) -> None:
    print(f"{what}: {' '.join(str(message).split())}", file=sys.stderr)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object) -> None:
    # Other packages' warnings are not for whoever runs a benchmark; torch's C++ ones name the Python line that called.
    own = Path(__file__).parent in Path(filename).parents or "site-packages" not in filename
    if own and "Triggered internally" not in str(message):
        _complain("warning", message)


EXAMPLES = """
[bold]Examples[/bold]

dpbench run --method wavelet --eps 1,5,10

dpbench run --method wavelet,dp-merf --dataset mnist --download --eps 1,10 --seeds 3 --references real,public

dpbench run --method my-method --plugin my_method.py --set steps=200

dpbench show wavelet --dataset mnist --eps 1

dpbench refine --input coarse --out fine --scale 4

dpbench privacy --records 60000 --batch 2048 --steps 150 --eps 1

dpbench leaderboard --csv leaderboard.csv
"""

app = typer.Typer(
    cls=Commands,
    help="Trains differentially private image generators under exactly the same budget and compares what they make.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Kind(StrEnum):
    """What `dpbench list` can list."""

    methods = "methods"
    datasets = "datasets"
    public = "public"
    metrics = "metrics"
    refiners = "refiners"


WHAT, HOW, WHERE = "What is compared", "How it is run", "Where things are"
REFINED = "What is refined"
NUMBERS, PROPOSAL = "Without a method: two of --eps, --noise and --steps give the third", "Proposals"

Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE.py", help="Python file with plugins of your own; repeatable.", rich_help_panel=WHERE
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting (see `dpbench show METHOD`); METHOD:KEY=VALUE where only one of several methods has it.",
        rich_help_panel=WHAT,
    ),
]
Preset = Annotated[str, typer.Option(help="Settings to start from, e.g. small or paper.", rich_help_panel=WHAT)]
Delta = Annotated[float | None, typer.Option(help="δ of the guarantee; 1 / (n ln n) by default.", rich_help_panel=WHAT)]
Resolution = Annotated[
    int | None, typer.Option(help="Height and width of the images; the dataset's own by default.", rich_help_panel=WHAT)
]
Samples = Annotated[int, typer.Option(help="Images to generate and score per trial.", rich_help_panel=WHAT)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=HOW)]
Precision = Annotated[
    str, typer.Option(help="auto, fp32 or bf16; auto is bf16 on GPUs that have it.", rich_help_panel=HOW)
]
Download = Annotated[
    bool, typer.Option("--download", help="Allow missing datasets to be downloaded.", rich_help_panel=HOW)
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of datasets; else $DPBENCH_DATA or your cache.", rich_help_panel=WHERE),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of results.", rich_help_panel=WHERE)]


def main() -> None:
    """The entry point of the `dpbench` command."""
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"dpbench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See `app`."""


@app.command(
    epilog="A finished trial is skipped and an interrupted one goes on: run the same command again. "
    "Several GPUs for one trial: torchrun --nproc-per-node 2 -m dpbench run ..."
)
def run(
    method: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Methods, separated by commas; settings in brackets make a variant: 'wavelet,wavelet\\[codes=128]'.",
            rich_help_panel=WHAT,
        ),
    ],
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="Sensitive dataset, e.g. mnist or folder:PATH.", rich_help_panel=WHAT)
    ] = "shapes",
    eps: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Privacy budgets ε, e.g. 1,5,10; inf is without noise.", rich_help_panel=WHAT
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
        str, typer.Option(metavar="NAME", help="Public images for methods that use some.", rich_help_panel=WHAT)
    ] = "textures",
    references: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Rows to read the others against: real (real images), public (ε = 0), nonprivate (ε = ∞).",
            rich_help_panel=WHAT,
        ),
    ] = "",
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
            help="Declare your folder of images public: nothing is held back.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    device: Device = "auto",
    precision: Precision = "auto",
    force: Annotated[bool, typer.Option("--force", help="Run finished trials again.", rich_help_panel=HOW)] = False,
    download: Download = False,
    reproducible_noise: Annotated[
        int | None,
        typer.Option(metavar="SEED", help="Noise that is no secret, for tests; marks the rows.", hidden=True),
    ] = None,
    data: Data = None,
    out: Out = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Train, sample and score: methods × budgets × seeds on one dataset."""
    _load(plugin)
    from dpbench.benchmark.display import open_display
    from dpbench.benchmark.grid import parse_epsilons
    from dpbench.benchmark.launch import is_lead
    from dpbench.benchmark.runner import run as run_trials
    from dpbench.benchmark.standings import standings

    try:
        with open_display() as display:
            rows = run_trials(
                split_list(method),
                dataset,
                parse_epsilons(eps),
                delta=delta,
                seeds=seeds,
                public=public,
                references=_names(references),
                preset=preset,
                settings=parse_settings(settings or []),
                samples=samples,
                metrics=_names(metrics) or None,
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
        _complain("interrupted", f"finished trials are kept in {out}; run the same command again to go on")
        raise
    if is_lead():
        _print(standings(rows, out))


@app.command(
    epilog="A coarse pixel stands for the mean of the N x N pixels that it becomes, and the refiner is trained to undo "
    "such means on public images. That takes about a minute and a half on two cores for images of 32 x 32, and is "
    "done once. It meets no private record, so whatever guarantee the coarse images have, the full ones have, too."
    "\n\nExample: dpbench refine --input coarse --out fine --scale 4 --public folder:photos"
)
def refine(
    input: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="DIR",
            help="Coarse images, all squares of one size, grey or colour.",
            rich_help_panel=REFINED,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where the full images go, each under its name, and a sheet to compare them on.",
            rich_help_panel=REFINED,
        ),
    ],
    refiner: Annotated[
        str, typer.Option(metavar="NAME", help="A name that `dpbench list refiners` lists.", rich_help_panel=REFINED)
    ] = "residual",
    scale: Annotated[
        int, typer.Option(metavar="N", help="How many times larger: 2, 4, 8 ...", rich_help_panel=REFINED)
    ] = 4,
    public: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Public images to learn detail from, the closer to yours the better: a name that `dpbench list "
            "public` lists, e.g. folder:PATH.",
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
        int, typer.Option(help="Of a random refiner: another seed, other detail.", rich_help_panel=HOW)
    ] = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    download: Download = False,
    data: Data = None,
    plugin: Plugins = None,
) -> None:
    """Add detail to a folder of coarse images, learnt from public images alone."""
    _load(plugin)
    from dpbench.benchmark.display import open_display
    from dpbench.benchmark.refining import refine as refine_folder

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


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    plugin: Plugins = None,
) -> None:
    """List methods, datasets, public sources, metrics or refiners."""
    _load(plugin)
    from dpbench.benchmark.catalog import plugin_table

    _print(plugin_table(kind))


@app.command()
def show(
    method: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A method, or a refiner; with --eps also a variant, 'dp-sgd\\[steps=50]'."),
    ],
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="With --eps: the dataset whose plan to show; its files are not needed.")
    ] = "shapes",
    eps: Annotated[str, typer.Option(metavar="LIST", help="Budgets ε to calibrate the plan for, e.g. 1,10.")] = "",
    delta: Delta = None,
    preset: Preset = "small",
    settings: Settings = None,
    samples: Samples = 10_000,
    resolution: Resolution = None,
    plugin: Plugins = None,
) -> None:
    """Explain a method or a refiner: what it does, its settings, and with --eps where a method's budget goes."""
    _load(plugin)
    from dpbench.benchmark.catalog import plan_page, plugin_page
    from dpbench.benchmark.grid import parse_epsilons

    changed = parse_settings(settings or [])
    pages = [plugin_page(method)]
    for epsilon in parse_epsilons(eps) if eps else []:
        pages.append(
            plan_page(
                method,
                dataset,
                epsilon,
                delta=delta,
                preset=preset,
                settings=changed,
                samples=samples,
                resolution=resolution,
            )
        )
    for page in pages:
        _print(page)


PRIVACY_EXAMPLES = """
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


@app.command(epilog=PRIVACY_EXAMPLES)
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
    _load(plugin)
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
        _print(page)


@app.command()
def leaderboard(
    dataset: Annotated[str, typer.Option(metavar="NAMES", help="Only these datasets, separated by commas.")] = "",
    by: Annotated[str, typer.Option(metavar="COLUMN", help="Column to rank by, e.g. accuracy or fwd.")] = "",
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the lines to a CSV file, unrounded.")] = None,
    over_seeds: Annotated[
        bool, typer.Option("--over-seeds", help="In the CSV: mean and 95% interval over seeds, not a line per trial.")
    ] = False,
    out: Out = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Show the results that there are, ranked within dataset, budget and track."""
    _load(plugin)
    from dpbench.benchmark.standings import export, gather, standings

    rows = gather(out, _names(dataset))
    if csv is not None:
        export(rows, csv, over_seeds)
    _print(standings(rows, out, by or None))


def _load(plugins: list[Path] | None) -> None:
    for path in plugins or []:
        load_plugin_file(path)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _print(page: Any) -> None:
    from rich.console import Console

    Console().print(page)
