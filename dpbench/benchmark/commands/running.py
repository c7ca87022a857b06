"""`dpbench run` as a function.

import dpbench
rows = dpbench.run(["wavelet", "dp-merf"], "shapes", [1, 10], seeds=3)
print(rows[["method", "epsilon", "seed", "accuracy", "fwd"]])
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dpbench.benchmark.experiment import store_experiment
from dpbench.benchmark.failures import Failure, TrialsFailed
from dpbench.benchmark.launching import launch
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.benchmark.side_by_side import draw_side_by_side
from dpbench.benchmark.trials.finished import finished_trials
from dpbench.benchmark.trials.schedule import announce_slow_metrics, announce_trials, expect_times, plan_trials
from dpbench.benchmark.trials.scoring import chosen_metrics
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.benchmark.trials.trial_task import tasks_of
from dpbench.core.errors import DpbenchError, RunError
from dpbench.core.progress import Display
from dpbench.core.specs import DatasetSpec
from dpbench.results.leaderboard_file import LeaderboardFile
from dpbench.results.leaderboard_rows import collect, rows_of


def run(*arguments: Any, display: Display | None = None, **options: Any) -> pd.DataFrame:
    """Runs methods × budgets × seeds on a dataset, and skips finished trials.

    Writes `OUT/leaderboard.csv`, `OUT/<dataset>/samples.png` and its resolved options, `OUT/experiments/<key>.yaml`.

    Args:
        *arguments: the first fields of a `RunRequest`, in order: `run("wavelet", "mnist", [1, 10], seeds=3)`.
        **options: its other fields, by name.
        display: where progress shows; by default nowhere.

    Returns:
        One line per trial, in the order in which they ran; columns as in `results.row`.

    Raises:
        TrialsFailed: some trials failed, and the others are finished; the same call tries them again.
        DpbenchError: the request is wrong (then nothing has been written), the only trial fails, or something that
            every trial needs fails (then finished trials are kept, and the same call continues after them).
    """
    request = RunRequest.of(*arguments, **options)
    request.load_plugins()
    return run_request(request, display).rows


class Finished(NamedTuple):
    """The results of a run.

    Attributes:
        rows: the rows that `run` returns.
        sheet: the sheet of real images and samples side by side; None if it was not drawn.
        spec: the dataset's declaration.
        experiment: the file of resolved options, from which the run can be repeated.
    """

    rows: pd.DataFrame
    sheet: Path | None
    spec: DatasetSpec
    experiment: Path


def run_request(request: RunRequest, display: Display | None = None, experiment: Sequence[RunRequest] = ()) -> Finished:
    """`run` for a request.

    Args:
        request: what to run.
        display: where progress shows.
        experiment: all requests of the experiment that it belongs to; by default only this one.
    """
    if not request.epsilons and not request.references:
        raise DpbenchError("nothing to run: give an ε or a reference")
    with Session.open(request, display, writes=True, distributed=True) as session:
        if not request.epsilons:
            session.display.say("no ε is given: only the references run")
        metrics = chosen_metrics(request)
        trials = plan_trials(session)
        done = finished_trials(trials, session, metrics)
        announce_slow_metrics(trials, done, session, metrics)
        with session.processes.rank_zero_first():
            stored = store_experiment(experiment or (request,), request.out)
        leaderboard, sheet = LeaderboardFile(request.out), None
        try:
            announce_trials(trials, expect_times(trials, done, session), session)
            failures = _run_trials(trials, done, session, leaderboard, stored)
        finally:
            if session.processes.is_rank_zero and any(trial.folder(request.out).is_finished for trial in trials):
                rows = leaderboard.write()
                sheet = draw_side_by_side(trials, session)
            else:
                rows = collect(request.out)
    finished = Finished(rows_of(rows, [trial.key for trial in trials]), sheet, session.inputs.spec, stored)
    if failures:
        raise TrialsFailed(failures, len(trials), finished)
    return finished


def _run_trials(
    trials: Sequence[TrialSpec], done: Collection[str], session: Session, leaderboard: LeaderboardFile, stored: Path
) -> list[Failure]:
    """Runs all trials except those whose keys are in `done`. Returns those that failed, unless a failure ends the run.

    Raises:
        DpbenchError: a trial failed, and it is the only one, `fail_fast` is set, or other trials would fail as well.
    """
    goes_on = len(trials) > 1 and session.processes.world.size == 1 and not session.request.fail_fast
    failures: dict[int, Failure] = {}
    with closing(launch(tasks_of(trials, done, session.request), session)) as outcomes:
        for task, error, acted in outcomes:
            if error is None:
                if acted and session.processes.is_rank_zero:
                    leaderboard.update()
                continue
            if isinstance(error, RunError):
                raise error
            failure = Failure(str(task.trial), str(error), task.trial.folder(session.out).log)
            if not goes_on:
                failure.reword(error, stored)
                raise error
            session.display.say(f"  failed: {failure}")
            if not task.public:  # the trials that share it try again, and report what is missing
                failures[task.number] = failure
    return [failures[number] for number in sorted(failures)]
