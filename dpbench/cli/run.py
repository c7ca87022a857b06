"""`dpbench run`: train, sample and score."""

from __future__ import annotations

from dpbench.benchmark.request import RunRequest
from dpbench.cli.console import complain, print_page
from dpbench.cli.options import RUN, takes
from dpbench.core.rank import is_rank_zero

EPILOG = (
    "A finished trial is skipped, and an interrupted one continues: run the same command again. "
    "Several GPUs for one trial: torchrun --nproc-per-node 2 -m dpbench run ..."
)


@takes(*RUN, methods=...)
def run(request: RunRequest) -> None:
    """Train, sample and score: methods × budgets × seeds on one dataset."""
    from dpbench.benchmark.runner import run_request
    from dpbench.benchmark.scoring import asked_columns
    from dpbench.cli.display import open_display
    from dpbench.cli.pages.leaderboard_page import leaderboard_page
    from dpbench.cli.pages.run_page import after_the_table

    try:
        with open_display() as display:
            finished = run_request(request, display)
    except KeyboardInterrupt:
        complain("interrupted", f"finished trials are kept in {request.out}; run the same command again to continue")
        raise
    if is_rank_zero():
        print_page(leaderboard_page(finished.rows, columns=asked_columns(request.metrics)))
        print("", *after_the_table(request, finished), sep="\n")
