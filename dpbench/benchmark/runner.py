"""`dpbench run` as a function, and the path of a trial: prepare, fit, sample, score.

import dpbench
rows = dpbench.run(["wavelet", "dp-merf"], "shapes", [1, 10], seeds=3)
print(rows[["method", "epsilon", "seed", "accuracy", "fwd"]])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dpbench.benchmark.configure import configure, plan_of
from dpbench.benchmark.failures import Failure, TrialsFailed
from dpbench.benchmark.leaderboard_file import LeaderboardFile
from dpbench.benchmark.planning import Planner
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.scoring import chosen_metrics, known_columns, missing_metrics, say_scores, score
from dpbench.benchmark.session import Session
from dpbench.benchmark.shared_state import unchanged
from dpbench.benchmark.side_by_side import draw_side_by_side
from dpbench.benchmark.slow_metrics import announcement, slow_metrics
from dpbench.benchmark.stages import fit, prepare, real_images, sample
from dpbench.benchmark.sweep import make_trials
from dpbench.benchmark.timetable import STAGES, Work
from dpbench.benchmark.trial import TrialSpec
from dpbench.benchmark.trial_code import code_outside
from dpbench.benchmark.twins import seconds_of_a_twin
from dpbench.core.errors import DpbenchError, RunError
from dpbench.core.folders import check_space
from dpbench.core.progress import Display, track
from dpbench.core.specs import DatasetSpec
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.plan import CalibratedPlan
from dpbench.results.gathering import collect, rows_of
from dpbench.results.record import TrialRecord
from dpbench.results.trial_log import TrialLog
from dpbench.training.device import reset_peak_memory


def run(*arguments: Any, display: Display | None = None, **options: Any) -> pd.DataFrame:
    """Runs methods × budgets × seeds on a dataset, and skips finished trials.

    Writes OUT/leaderboard.csv and OUT/<dataset>/samples.png.

    Args:
        arguments, options: the fields of a `RunRequest`: `run("wavelet", "mnist", [1, 10], seeds=3)`.
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
    """

    rows: pd.DataFrame
    sheet: Path | None
    spec: DatasetSpec


def run_request(request: RunRequest, display: Display | None = None) -> Finished:
    """`run`, of a request."""
    if not request.epsilons and not request.references:
        raise DpbenchError("nothing to run: name an ε or a reference")
    with Session.open(request, display, writes=True, distributed=True) as session:
        metrics = chosen_metrics(request.metrics, request.protocol_metrics)
        trials = plan_trials(session)
        _announce(trials, session, metrics)
        leaderboard, sheet = LeaderboardFile(request.out), None
        try:
            failures = _run_trials(trials, session, metrics, leaderboard)
        finally:
            if session.processes.is_rank_zero and any(trial.folder(request.out).is_finished for trial in trials):
                rows = leaderboard.write()
                sheet = draw_side_by_side(trials, session)
            else:
                rows = collect(request.out, known_columns())
    finished = Finished(rows_of(rows, [trial.key for trial in trials]), sheet, session.inputs.spec)
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
    _expect(trials, session, metrics)
    with display.overview(timetable.line):
        for number, trial in enumerate(trials, start=1):
            timetable.begin(number)
            display.say(", ".join(filter(None, [f"[{number}/{len(trials)}] {trial}", timetable.left()])))
            try:
                if run_trial(trial, session, metrics) and session.processes.is_rank_zero:
                    leaderboard.update()
            except DpbenchError as error:
                if isinstance(error, RunError) or not goes_on:
                    raise
                failures.append(Failure(str(trial), str(error), trial.folder(session.out).log))
                display.say(f"  failed: {failures[-1]}")
    return failures


def _announce(trials: Sequence[TrialSpec], session: Session, metrics: Sequence[str]) -> None:
    """Says which metrics will take hours.

    Raises:
        DpbenchError: one would take days.
    """
    spec = session.inputs.spec
    for name, seconds in slow_metrics(metrics, spec, session.request.samples, session.device).items():
        if any(missing_metrics(trial.folder(session.out), [name]) for trial in trials):
            session.display.say(announcement(name, seconds, session.device))


def _expect(trials: Sequence[TrialSpec], session: Session, metrics: Sequence[str]) -> None:
    """Tells the timetable what there is to do, and how long it took before."""
    works = [work_left(trial, session, metrics) for trial in trials]
    session.timetable.plan(works)
    trained = {work.kind: trial for work, trial in zip(works, trials, strict=True) if "fit" in work.stages}
    for kind, trial in trained.items():
        session.timetable.learn(kind, seconds_of_a_twin(trial, session))


def work_left(trial: TrialSpec, session: Session, metrics: Sequence[str]) -> Work:
    """The stages that `run_trial` will go through, if nothing changes before it starts."""
    folder = trial.folder(session.out)
    if folder.is_sampled and not session.request.force:
        unscored = not folder.is_finished or missing_metrics(folder, metrics)
        return Work((trial.title, "sampled"), ("evaluate",) if unscored else ())
    if trial.is_real:
        return Work(trial.title, ("evaluate",))
    state = "continues" if folder.has_checkpoints(trial.spec.public_benchmark) else "new"
    return Work((trial.title, state), tuple(stage for stage in STAGES if stage != "fit" or trial.epsilon > 0))


def plan_trials(session: Session) -> list[TrialSpec]:
    """Every trial that the session's request asks for. Everything that can be checked before training is checked.

    Raises:
        DpbenchError: a method, a setting or a dataset does not exist, or a method cannot keep its budget.
    """
    request, inputs, display = session.request, session.inputs, session.display
    methods = configure(request.methods, request.dataset, request.preset, request.settings)
    for method in methods:
        plan_of(method.method, method.config, inputs.spec, request.samples_of(inputs.spec))
        if "public" in request.references and not method.uses_public:
            display.say(f"{method.title} uses no public data: it has no public reference row")
    with session.processes.rank_zero_first():  # a dataset is downloaded, and a measurement made, once
        conditions = session.sampled
        for _ in track(display, [inputs.train], "reading the images", 1):
            inputs.fingerprint(inputs.train)
        trials = list(make_trials(methods, session, Planner(session)))
    new = [t for t in trials if not t.is_real and (request.force or not t.folder(request.out).is_sampled)]
    if new:
        samples = len(new) * conditions.conditions.count * math.prod(inputs.spec.shape)
        check_space(request.out, samples, f"the samples of {len(new)} trials")
        for trial in track(display, new, "calibrating", len(new)):
            calibrated_plan(trial)
    with session.processes.rank_zero_first():  # images are checked once
        if new:
            inputs.check_images(display, public=any(trial.public for trial in new))
    return trials


def calibrated_plan(trial: TrialSpec) -> CalibratedPlan:
    """What a trial will release, with noise for its budget."""
    return calibrate(plan_of(trial.plugin, trial.config, trial.spec, trial.request), trial.budget)


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
