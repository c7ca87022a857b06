"""Redraws damaged samples of a trial from its model: no private record is read, and no ε is spent (rule R7)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.stored_model import load_model
from dpbench.core.errors import DataError, DpbenchError
from dpbench.core.files import TEMPORARY, remove
from dpbench.results import checksums
from dpbench.results.record import TrialRecord
from dpbench.results.trial_folder import RESTORE, SAMPLES, TrialFolder


def mend_samples(record: TrialRecord, folder: TrialFolder, session: Session) -> None:
    """Replaces damaged or missing samples by the same samples, drawn again.

    They are the same with the same code, on the same device and in the same precision. Checksums verify this: if they
    differ, nothing is replaced.

    Raises:
        DpbenchError: the samples are damaged and cannot be drawn again.
    """
    try:
        folder.check_samples(record, RESTORE)
    except DpbenchError as damage:
        session.display.say("  samples are damaged: they are drawn again from the trial's model, at no privacy cost")
        try:
            _redraw(record, folder, session)
        except DpbenchError as error:
            raise DataError(f"{damage} (drawn again from its model: {error})") from error


def _redraw(record: TrialRecord, folder: TrialFolder, session: Session) -> None:
    model, home = load_model(folder, session.request, session.display), folder.home(record.is_sensitive)
    with tempfile.TemporaryDirectory(dir=folder.path, prefix=TEMPORARY) as work:
        drawn = Path(work) / (home / SAMPLES).relative_to(folder.path)
        model.write(record.request["samples"], drawn)
        checksums.check(home / checksums.FILE, Path(work), drawn)
        remove(home / SAMPLES)
        drawn.rename(home / SAMPLES)
