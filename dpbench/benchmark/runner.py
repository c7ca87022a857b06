"""`dpbench run` as a function, and the path of a trial: prepare, fit, sample, score.

import dpbench
rows = dpbench.run(["wavelet", "dp-merf"], "shapes", [1, 10], seeds=3)
print(rows[["method", "epsilon", "seed", "accuracy", "fwd"]])
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dpbench.benchmark.experiment import store_experiment
from dpbench.benchmark.failures import Failure, TrialsFailed
from dpbench.benchmark.leaderboard_file import LeaderboardFile
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.schedule import (
    announce_slow_metrics,
    announce_trials,
    calibrated_plan,
    expect_times,
    plan_trials,
)
from dpbench.benchmark.scoring import chosen_metrics, known_columns, missing_metrics, say_scores, score
from dpbench.benchmark.session import Session
from dpbench.benchmark.shared_state import unchanged
from dpbench.benchmark.side_by_side import draw_side_by_side
from dpbench.benchmark.stages import fit, prepare, real_images, sample
from dpbench.benchmark.trial import TrialSpec
from dpbench.benchmark.trial_code import code_outside
from dpbench.core.errors import UNFINISHED, DpbenchError, RunError
from dpbench.core.progress import Display
from dpbench.core.specs import DatasetSpec
from dpbench.results.gathering import collect, rows_of
from dpbench.results.record import TrialRecord
from dpbench.results.trial_log import TrialLog
from dpbench.training.device import reset_peak_memory


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
        DpbenchError: the request is wrong (then nothing has been written), the only trial fails, or something fails
            that every trial needs (then finished trials are kept, and the same call continues after them).
    """
    request = RunRequest.of(*arguments, **options)
    request.load_plugins()
    return run_request(request, display).rows


class Finished(NamedTuple):
    """What a run leaves.

    Attributes:
        rows: what `run` returns.
        sheet: real images and samples side by side; None if it is not drawn.
        spec: what the dataset declares.
        experiment: the file of resolved options, from which the run can be run again.
    """

    rows: pd.DataFrame
    sheet: Path | None
    spec: DatasetSpec
    experiment: Path


def run_request(request: RunRequest, display: Display | None = None, experiment: Sequence[RunRequest] = ()) -> Finished:
    """`run`, of a request.

    Args:
        request: what to run.
        display: where progress shows.
        experiment: all requests of the experiment that it belongs to; by default it alone.
    """
    if not request.epsilons and not request.references:
        raise DpbenchError("nothing to run: name an ε or a reference")
    with Session.open(request, display, writes=True, distributed=True) as session:
        metrics = chosen_metrics(request.metrics, request.protocol_metrics)
        trials = plan_trials(session)
        announce_slow_metrics(trials, session, metrics)
        with session.processes.rank_zero_first():
            stored = store_experiment(experiment or (request,), request.out)
        leaderboard, sheet = LeaderboardFile(request.out), None
        try:
            failures = _run_trials(trials, session, metrics, leaderboard)
        finally:
            if session.processes.is_rank_zero and any(trial.folder(request.out).is_finished for trial in trials):
                rows = leaderboard.write()
                sheet = draw_side_by_side(trials, session)
            else:
                rows = collect(request.out, known_columns())
    finished = Finished(rows_of(rows, [trial.key for trial in trials]), sheet, session.inputs.spec, stored)
    if failures:
        raise TrialsFailed(failures, len(trials), finished)
    return finished


def _run_trials(
    trials: Sequence[TrialSpec], session: Session, metrics: Sequence[str], leaderboard: LeaderboardFile
) -> list[Failure]:
    """Runs trials in turn. Returns those that failed, unless a failure ends the run.

    Raises:
        DpbenchError: a trial failed, and it is the only one, or the request says so, or further ones would fail alike.
    """
    display, timetable = session.display, session.timetable
    goes_on = len(trials) > 1 and session.processes.world.size == 1 and not session.request.fail_fast
    failures: list[Failure] = []
    announce_trials(trials, expect_times(trials, session, metrics), session)
    with display.overview(timetable.line):
        for number, trial in enumerate(trials, start=1):
            timetable.begin(number)
            display.say(", ".join(filter(None, [f"[{number}/{len(trials)}] {trial}", timetable.left()])))
            try:
                if run_trial(trial, session, metrics) and session.processes.is_rank_zero:
                    leaderboard.update()
            except DpbenchError as error:
                if isinstance(error, RunError) or not goes_on:
                    error.exit_code = UNFINISHED
                    raise
                failures.append(Failure(str(trial), str(error), trial.folder(session.out).log))
                display.say(f"  failed: {failures[-1]}")
    return failures


def run_trial(trial: TrialSpec, session: Session, metrics: Sequence[str]) -> bool:
    """Does what is left to do of one trial: prepare, fit, sample, score.

    With several processes, all of them prepare and fit; rank zero alone writes, samples and scores.

    Args:
        metrics: names of the metrics to compute.

    Returns:
        whether anything was left to do.

    Raises:
        DpbenchError: whatever went wrong, in one line. The trial's folder then has a log.txt, and no trial.json.
    """
    folder, processes = trial.folder(session.out), session.processes
    if processes.broadcast(processes.is_rank_zero and _is_done(trial, session, metrics)):
        return False
    with folder.lock(session.display) if processes.is_rank_zero else nullcontext():
        if processes.is_rank_zero and session.request.force:
            folder.clear()
        record = _current_record(trial, session) if processes.is_rank_zero else None
        if not processes.broadcast(record is not None):
            record = _sampled(trial, session)
        if record is not None:
            score(record, folder, metrics, session)
    processes.barrier()
    return True


def _is_done(trial: TrialSpec, session: Session, metrics: Sequence[str]) -> bool:
    """Whether nothing is left to do of a trial; then its scores are shown. Needs no lock, as nothing is written."""
    folder = trial.folder(session.out)
    record = folder.read(trial.key) if folder.is_finished and not session.request.force else None
    if record is None or not _is_by_present_code(record, trial, session):
        return False
    if missing_metrics(folder, metrics):
        return False
    session.display.say("  finished already")
    say_scores(record, folder, session)
    return True


def _is_by_present_code(record: TrialRecord, trial: TrialSpec, session: Session) -> bool:
    """Whether the present code outside dpbench sampled a trial, as far as its record tells."""
    return record.source_hash in (None, code_outside(trial, session))


def _current_record(trial: TrialSpec, session: Session) -> TrialRecord | None:
    """The record of a trial that the present code sampled; removes one that other code outside dpbench sampled."""
    folder = trial.folder(session.out)
    record = folder.read(trial.key)
    if record is None or _is_by_present_code(record, trial, session):
        return record
    again = "it runs again, as another private run" if trial.is_private else "it runs again"
    session.display.say(f"  the code of a plugin behind it changed since it ran: {again}")
    folder.clear()
    return None


def _sampled(trial: TrialSpec, session: Session) -> TrialRecord | None:
    """Trains and samples; None on every process but rank zero."""
    folder, is_rank_zero = trial.folder(session.out), session.processes.is_rank_zero
    log = TrialLog(folder.log if is_rank_zero else None)
    with log.errors_of(trial):
        continues = folder.has_checkpoints(trial.spec.public_benchmark)
        if is_rank_zero and not continues:
            folder.clear()
        log(f"{trial} {'continues an interrupted attempt' if continues else 'starts'}")
        log(f"on {session.device} in {session.precision}, settings: {trial.config}")
        session.inputs.check_fingerprint(trial.fingerprint)
        if trial.is_real:
            record = real_images(trial, session, log)
        else:
            reset_peak_memory(session.device)
            method = prepare(trial, session, log)
            with unchanged(trial.plugin):
                spent = fit(method, trial, calibrated_plan(trial), session, log)
                if not is_rank_zero:
                    return None
                record = sample(method, trial, spent, session, log)
        folder.write(record)
        return record
