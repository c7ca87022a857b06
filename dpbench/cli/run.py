"""`dpbench run`: train, sample and score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpbench.benchmark.request import RunRequest
from dpbench.cli.console import complain, print_lines, print_page
from dpbench.cli.options import RUN, takes
from dpbench.core.rank import is_rank_zero

if TYPE_CHECKING:
    from dpbench.benchmark.runner import Finished

EPILOG = (
    "A finished trial is skipped, and an interrupted one continues: run the same command again. "
    "A trial that fails does not end the others. "
    "Several GPUs for one trial: torchrun --nproc-per-node 2 -m dpbench run ..."
)


@takes(*RUN, methods=...)
def run(request: RunRequest) -> None:
    """Train, sample and score: methods × budgets × seeds on one dataset."""
    from dpbench.benchmark.failures import TrialsFailed
    from dpbench.benchmark.runner import run_request
    from dpbench.cli.display import open_display

    try:
        with open_display() as display:
            finished = run_request(request, display)
    except TrialsFailed as error:
        if len(error.finished.rows):
            _show(request, error.finished)
        for failure in error.failures:
            complain("failed", failure)
        raise
    except KeyboardInterrupt as stop:
        stop.add_note(f"finished trials are kept in {request.out}; the same command continues")
        raise
    if is_rank_zero():
        _show(request, finished)


def _show(request: RunRequest, finished: Finished) -> None:
    """The table, and what follows it."""
    from dpbench.benchmark.scoring import asked_columns
    from dpbench.cli.pages.leaderboard_page import leaderboard_page
    from dpbench.cli.pages.run_page import after_the_table

    columns = asked_columns([*(request.metrics or ()), *request.protocol_metrics])
    print_page(leaderboard_page(finished.rows, request.out, columns=columns))
    print_lines(["", *after_the_table(request, finished)])
