"""The path of a trial: prepare, fit, sample, score."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.finished import is_by_present_code, is_finished
from dpbench.benchmark.trials.schedule import calibrated_plan
from dpbench.benchmark.trials.scoring import score
from dpbench.benchmark.trials.shared_state import unchanged
from dpbench.benchmark.trials.stages import fit, prepare, real_images, sample
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.core.peak_memory import reset_peak_memory
from dpbench.results.record import TrialRecord
from dpbench.results.trial_log import TrialLog


def run_trial(trial: TrialSpec, session: Session, metrics: Sequence[str]) -> bool:
    """Runs the remaining stages of one trial: prepare, fit, sample, score.

    With several processes, all of them prepare and fit; only rank zero writes, samples and scores.

    Args:
        metrics: names of the metrics to compute.

    Returns:
        whether anything was left to do.

    Raises:
        DpbenchError: whatever went wrong, in one line. The trial's folder then has a log.txt, and no trial.json.
    """
    folder, processes = trial.folder(session.out), session.processes
    if processes.broadcast(processes.is_rank_zero and is_finished(trial, session, metrics)):
        session.display.say("  finished already")
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


def _current_record(trial: TrialSpec, session: Session) -> TrialRecord | None:
    """The record of a trial if the current code sampled it; removes the trial if other code outside dpbench did."""
    folder = trial.folder(session.out)
    record = folder.read(trial.key)
    if record is None or is_by_present_code(record, trial, session):
        return record
    again = "it runs again, as another private run" if trial.is_private else "it runs again"
    session.display.say(f"  the code of one of its plugins changed since it ran: {again}")
    folder.clear()
    return None


def _sampled(trial: TrialSpec, session: Session) -> TrialRecord | None:
    """Trains and samples; None on every process except rank zero."""
    folder, is_rank_zero = trial.folder(session.out), session.processes.is_rank_zero
    log = TrialLog(folder.log if is_rank_zero else None)
    with log.errors_of(trial):
        continues = folder.has_checkpoints(trial.spec.public_benchmark)
        if continues:
            session.display.say("  continues an interrupted attempt")
        elif is_rank_zero:
            folder.clear()
        log(f"{trial} {'continues an interrupted attempt' if continues else 'starts'}")
        log(f"on {session.device} in {session.precision}, settings: {trial.config}")
        session.inputs.check_fingerprint(trial.fingerprint)
        if trial.is_real:
            record = real_images(trial, session)
        else:
            reset_peak_memory(session.device)
            method = prepare(trial, session, log)
            with unchanged(trial.plugin):
                accounts = fit(method, trial, calibrated_plan(trial), session, log)
                if not is_rank_zero:
                    return None
                record = sample(method, trial, accounts, session, log)
        folder.write(record)
        return record


def pretrain(trial: TrialSpec, session: Session) -> bool:
    """Runs only the public training of a trial, so that others load it from the cache.

    With several processes, only rank zero trains, and all of them load the result.

    Returns:
        whether the trial still needed it.

    Raises:
        DpbenchError: as `run_trial`.
    """
    folder, processes = trial.folder(session.out), session.processes
    if processes.broadcast(processes.is_rank_zero and folder.is_sampled):
        return False
    with folder.lock(session.display) if processes.is_rank_zero else nullcontext():
        log = TrialLog(folder.log if processes.is_rank_zero else None)
        with log.errors_of(trial):
            prepare(trial, session, log)
    processes.barrier()
    return True
