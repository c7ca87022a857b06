"""`dpbench run`: train, sample and score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpbench.benchmark.request import HOW, WHAT, RunRequest
from dpbench.cli.console import complain, print_lines, print_page
from dpbench.cli.options import RUN, loaded, takes_values, typed
from dpbench.core.errors import DpbenchError, RunError
from dpbench.core.folders import expanded
from dpbench.core.rank import is_rank_zero

if TYPE_CHECKING:
    from dpbench.benchmark.commands.running import Finished

EPILOG = (
    "A finished trial is skipped, and an interrupted one continues: run the same command again. "
    "A trial that fails does not end the others. "
    "Several trials at a time: --launcher; several GPUs for one trial: --gpus."
)


@takes_values(*RUN)
def run(
    context: typer.Context,
    values: dict[str, Any],
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Experiment file (.toml or .yaml) with these options, for one or several datasets; options on the "
            "command line override it.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            metavar="",
            help="Show the trials, their plans with calibrated noise, and a time estimate; train nothing.",
            rich_help_panel=HOW,
        ),
    ] = False,
) -> None:
    """Train, sample and score: methods × budgets × seeds on one dataset, or on those of an experiment file."""
    requests = [loaded(values)] if config is None else _read(config, typed(context, values))
    _in_turn(requests, _preview if dry_run else _run)


def _read(config: Path, given: Mapping[str, Any]) -> list[RunRequest]:
    """The requests of an experiment file, checked."""
    from dpbench.benchmark.experiment import read_experiment
    from dpbench.benchmark.trials.schedule import check_requests

    requests = read_experiment(expanded(config), given)
    for request in requests:
        request.load_plugins()
    check_requests(requests)
    return requests


def _in_turn(requests: Sequence[RunRequest], act: Callable[[RunRequest, Sequence[RunRequest]], None]) -> None:
    """Acts on the requests of an experiment one after the other. One that fails does not end the others.

    Raises:
        RunsFailed: some of several runs failed; a single run raises its own error.
    """
    from dpbench.benchmark.failures import RunsFailed

    failed = 0
    for request in requests:
        try:
            act(request, requests)
        except DpbenchError as error:
            if len(requests) == 1 or request.fail_fast or isinstance(error, RunError):
                raise
            complain("failed", f"{request.dataset}: {error}")
            failed += 1
    if failed:
        raise RunsFailed(failed, len(requests))


def _preview(request: RunRequest, experiment: Sequence[RunRequest]) -> None:
    """Shows what `_run` would do."""
    from dpbench.benchmark.commands.dry_run import dry_run
    from dpbench.cli.display import open_display
    from dpbench.cli.pages.dry_run_page import dry_run_page

    with open_display() as display:
        planned = dry_run(request, display)
    if is_rank_zero():
        print_page(dry_run_page(planned, request.out))


def _run(request: RunRequest, experiment: Sequence[RunRequest]) -> None:
    from dpbench.benchmark.commands.running import run_request
    from dpbench.benchmark.failures import TrialsFailed
    from dpbench.cli.display import open_display

    try:
        with open_display() as display:
            finished = run_request(request, display, experiment)
    except TrialsFailed as error:
        if len(error.finished.rows):
            _show(request, error.finished)
        for failure in error.failures:
            complain("failed", failure)
        raise
    except KeyboardInterrupt as stop:
        same = "the same command without --force" if request.force else "the same command"
        stop.add_note(f"finished trials are kept in {request.out}; {same} continues")
        raise
    if is_rank_zero():
        _show(request, finished)


def _show(request: RunRequest, finished: Finished) -> None:
    """Shows the table and the lines after it."""
    from dpbench.cli.pages.leaderboard_page import leaderboard_page
    from dpbench.cli.pages.run_page import after_the_table
    from dpbench.results.metric_columns import asked_columns

    columns = asked_columns(request.named_metrics)
    print_page(leaderboard_page(finished.rows, columns))
    print_lines(["", *after_the_table(request, finished)])
