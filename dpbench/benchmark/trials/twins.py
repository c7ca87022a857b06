"""The expected time of a trial, from a finished one that differs only in its budget, seed or number of samples."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice

from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.core.config import as_settings
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest
from dpbench.results.record import TrialRecord
from dpbench.results.trial_folder import TRIAL, TrialFolder
from dpbench.training.device import describe_device

MOST = 50
"""Maximum number of finished trials of a method to consider."""


def seconds_of_a_twin(trial: TrialSpec, session: Session) -> dict[str, float]:
    """Stage -> seconds of a finished trial in the same folder of results; {} if there is none.

    A twin with as many samples is preferred. For a twin with another number of samples, the time of sampling is scaled,
    and the time of scoring, which differs from metric to metric, is left out.

    Args:
        trial: a private trial.
        session: where it will run.
    """
    beside = trial.folder(session.out).path.parent
    other: dict[str, float] = {}
    for path in islice(beside.glob(f"*/{TRIAL}"), MOST):
        with suppress(DpbenchError):  # it is damaged
            folder = TrialFolder(path.parent)
            record = folder.read()
            if record is not None and _is_twin(record, trial, session):
                seconds = {name: getattr(record, f"seconds_{name}") or 0.0 for name in ("prepare", "fit", "sample")}
                samples = record.request["samples"]
                if samples == session.request.samples:
                    return seconds | {"evaluate": sum(folder.read_scores().seconds.values())}
                other = seconds | {"sample": seconds["sample"] * session.request.samples / samples}
    return other


def _is_twin(record: TrialRecord, trial: TrialSpec, session: Session) -> bool:
    there = (record.reference, record.dataset_fingerprint, record.resolution, record.device)
    here = ("", trial.fingerprint, trial.spec.resolution, describe_device(session.device))
    has_its_config = digest(record.config) == digest(as_settings(trial.config))  # JSON has lists for tuples
    return there == here and has_its_config and "samples" in record.request
