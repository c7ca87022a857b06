"""`dpbench privacy`: convert, price and propose budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dpbench.benchmark.request import WHAT, RunRequest
from dpbench.cli.completion import OPTIONS
from dpbench.cli.console import print_page
from dpbench.cli.options import takes
from dpbench.core.errors import DpbenchError
from dpbench.core.specs import check_chosen_delta, default_delta

if TYPE_CHECKING:
    from rich.console import RenderableType

NUMBERS, PROPOSAL = "Without a method: give two of --eps, --noise and --steps", "Proposals"

EXAMPLE = "e.g. --records 60000 --batch 2048 --steps 150 --eps 1"

EPILOG = """
[bold]Noise, ε or steps from the other two[/bold]

dpbench privacy --records 60000 --batch 2048 --steps 150 --eps 1,10

dpbench privacy --records 60000 --batch 2048 --steps 150 --noise 1.5

dpbench privacy --records 60000 --batch 2048 --noise 2 --eps 1

[bold]The cost of a method's plan, per mechanism[/bold]

dpbench privacy dp-feta --dataset mnist --eps 1,10

dpbench privacy dp-feta --dataset mnist --noise 1.5

[bold]Batch size, steps and trained weights proposed from gradients on public images[/bold]

dpbench privacy wavelet --dataset mnist --public omniglot --eps 1,10 --propose

dpbench run --method wavelet --dataset mnist --public omniglot --eps 1,10 --set steps=auto
"""


@takes(
    *("epsilons", "delta", "dataset", "preset", "settings", "samples", "resolution", "public", "device", "precision"),
    *("download", "data"),
    help={
        "epsilons": "Privacy budgets ε, e.g. 1,10.",
        "dataset": "Sensitive dataset for METHOD; its images are not read.",
        "public": "With --propose: public images for pretraining and measuring.",
    },
    epsilons=(),
)
def privacy(
    request: RunRequest,
    method: Annotated[
        str,
        typer.Argument(
            metavar="[METHOD]",
            autocompletion=OPTIONS["methods"],
            help="Method whose plan is priced; omit it to convert numbers.",
        ),
    ] = "",
    noise: Annotated[
        float | None,
        typer.Option(
            metavar="SIGMA",
            help="Noise multiplier; with METHOD, the common scale of the multipliers that its plan leaves open.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    records: Annotated[
        int | None, typer.Option(metavar="N", help="Number of training records.", rich_help_panel=NUMBERS)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(metavar="N", help="Expected batch size (Poisson sampling).", rich_help_panel=NUMBERS)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="Q", help="Sampling rate, instead of --batch.", rich_help_panel=NUMBERS)
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Private steps.", rich_help_panel=NUMBERS)] = None,
    propose: Annotated[
        bool,
        typer.Option(
            "--propose",
            metavar="",
            help="Propose settings from METHOD's gradients on public images.",
            rich_help_panel=PROPOSAL,
        ),
    ] = False,
    compute: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            help="Compute budget: batch × steps × views; METHOD's own by default.",
            rich_help_panel=PROPOSAL,
        ),
    ] = None,
) -> None:
    """Convert between noise, steps and ε, price a method's plan, or propose better settings."""
    if compute is not None and not propose:
        raise DpbenchError("--compute limits what --propose proposes: also give --propose")
    if not method:
        if propose:
            raise DpbenchError("--propose needs a method, e.g. dpbench privacy wavelet --eps 1 --propose")
        sampling_rate = _sampling_rate(records, batch, rate)
        delta = _delta(request.delta, records)
        pages = [_conversion(sampling_rate, delta, request.epsilons, noise, steps)]
    elif (records, batch, rate, steps) != (None, None, None, None):
        raise DpbenchError(
            "--records, --batch, --rate and --steps are for use without a method; "
            f"for {method}, use settings: --set steps=200"
        )
    elif propose:
        pages = _proposals(replace(request, methods=(method,)), noise, compute)
    else:
        pages = _prices(replace(request, methods=(method,)), noise)
    for page in pages:
        print_page(page)


def _sampling_rate(records: int | None, batch: int | None, rate: float | None) -> float:
    """--rate, or --batch / --records."""
    if (batch is None) == (rate is None):
        raise DpbenchError(f"give either --batch with --records, or --rate; {EXAMPLE}")
    if rate is not None:
        return rate
    if records is None or batch is None:
        raise DpbenchError(f"--batch needs --records: the sampling rate is batch / records; {EXAMPLE}")
    if not 0 < batch <= records:
        raise DpbenchError(f"an expected batch of {batch} cannot be drawn from {records} records")
    return batch / records


def _delta(chosen: float | None, records: int | None) -> float:
    """--delta, or the default for --records."""
    if chosen is not None:
        check_chosen_delta(chosen, records)
        return chosen
    if records is None:
        raise DpbenchError("give --delta, or --records for the default of 1 / (n ln n)")
    return default_delta(records)


def _conversion(
    rate: float, delta: float, epsilons: Sequence[float], noise: float | None, steps: int | None
) -> RenderableType:
    """A table of noise, ε and steps; the missing one is computed from the other two."""
    given = {"ε": bool(epsilons), "noise": noise is not None, "steps": steps is not None}
    unknown = [name for name, is_given in given.items() if not is_given]
    if len(unknown) != 1:
        raise DpbenchError(f"give two of --eps, --noise and --steps; the third is computed; {EXAMPLE}")
    from dpbench.cli.pages.conversion_page import conversion_table
    from dpbench.privacy.conversions import Releases, convert

    budgets: Sequence[float | None] = epsilons or [None]
    return conversion_table([convert(Releases(rate, delta, e, noise, steps)) for e in budgets], unknown[0])


def _prices(request: RunRequest, noise: float | None) -> list[RenderableType]:
    """The method's plan, calibrated for each ε, or priced at the given noise."""
    if bool(request.epsilons) == (noise is not None):
        (method,) = request.methods
        raise DpbenchError(f"give either --eps, to calibrate the plan of {method}, or --noise, to price it")
    from dpbench.benchmark.commands.method_plan import method_plan, priced_plan
    from dpbench.cli.pages.plan_page import plan_page

    if noise is not None:
        return [plan_page(priced_plan(request, noise))]
    return [plan_page(method_plan(request, epsilon)) for epsilon in request.epsilons]


def _proposals(request: RunRequest, noise: float | None, compute: int | None) -> list[RenderableType]:
    """Batch, steps and trained weights for each ε, judged on public images."""
    if not request.epsilons or noise is not None:
        raise DpbenchError("--propose needs --eps and takes no --noise: the noise is calibrated")
    from dpbench.benchmark.commands.proposals import propose
    from dpbench.cli.display import open_display
    from dpbench.cli.pages.proposal_page import proposal_page

    with open_display() as display:
        return [proposal_page(proposal) for proposal in propose(request, display, compute)]
