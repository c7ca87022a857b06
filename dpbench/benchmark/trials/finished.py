"""The finished trials of a command: sampled by the current code, and scored with every requested metric."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.scoring import missing_metrics
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.benchmark.trials.trial_code import code_outside
from dpbench.core.errors import DpbenchError
from dpbench.core.registries import METRICS
from dpbench.evaluation.score_protocol import is_outdated
from dpbench.results.leaderboard_rows import collect
from dpbench.results.metric_columns import columns_of
from dpbench.results.record import TrialRecord
from dpbench.results.row import read_protocol


def finished_trials(trials: Sequence[TrialSpec], session: Session, metrics: Sequence[str]) -> frozenset[str]:
    """The keys of the trials that are finished; the same on every process.

    Most finished trials are recognised by their rows, which mostly come from an index, as there may be thousands. Only
    the files of the others are read. A trial with a damaged record is not finished; `run_trial` refuses it alone.
    """
    looks = session.processes.is_rank_zero and not session.request.force
    return session.processes.broadcast(frozenset(_finished(trials, session, metrics) if looks else ()))


def _finished(trials: Sequence[TrialSpec], session: Session, metrics: Sequence[str]) -> Iterator[str]:
    told = _scored_by_rows(session, metrics)
    for trial in trials:
        by_row = told.get((trial.key, str(trial.folder(session.out).path)))
        if by_row == code_outside(trial, session) or _tells_finished(trial, session, metrics):
            yield trial.key


def _tells_finished(trial: TrialSpec, session: Session, metrics: Sequence[str]) -> bool:
    """`is_finished`, or False if the record is damaged."""
    try:
        return is_finished(trial, session, metrics)
    except DpbenchError:
        return False


def is_finished(trial: TrialSpec, session: Session, metrics: Sequence[str]) -> bool:
    """Whether one trial is finished, judged by its files. Needs no lock, as nothing is written.

    Raises:
        DpbenchError: its record is damaged, or belongs to another trial.
    """
    folder = trial.folder(session.out)
    record = folder.read(trial.key) if folder.is_finished and not session.request.force else None
    return record is not None and is_by_present_code(record, trial, session) and not missing_metrics(folder, metrics)


def is_by_present_code(record: TrialRecord, trial: TrialSpec, session: Session) -> bool:
    """Whether a trial was sampled with the current code outside dpbench, according to its record."""
    return record.source_hash in (None, code_outside(trial, session))


def _scored_by_rows(session: Session, metrics: Sequence[str]) -> dict[tuple[str, str], str]:
    """Key and folder of each trial whose row has a score in every column of `metrics` -> the hash of its code."""
    with warnings.catch_warnings():  # writing the leaderboard warns of damaged trials
        warnings.simplefilter("ignore")
        rows = collect(session.out)
    present = {text for text in set(rows["protocol"]) if _is_present(read_protocol(text), metrics)}
    columns = [column.name for column in columns_of(metrics)]
    scored = rows[rows[columns].notna().all(axis=1) & rows["protocol"].isin(present)]
    return dict(zip(zip(scored["key"], scored["folder"], strict=True), scored["source_hash"], strict=True))


def _is_present(protocol: Mapping[str, Any], metrics: Sequence[str]) -> bool:
    """Whether scores under a row's protocol are still the ones that the metrics compute."""
    return not any(is_outdated(protocol.get(name), METRICS.get(name)) for name in metrics)
