"""The sheet of a run, OUT/<dataset>/samples.png: real images and the samples of its finished trials, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.core.closure import code_hash
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest
from dpbench.results.best_effort import best_effort
from dpbench.results.record import TrialRecord
from dpbench.results.rounding import privacy
from dpbench.results.run_sheet import Group, content_of, write_run_sheet
from dpbench.results.trial_folder import PICTURE, dataset_folder

FIRST_SEED = 0


def draw_side_by_side(trials: Sequence[TrialSpec], session: Session) -> Path | None:
    """Draws the sheet of a run, with samples of the first seed, unless it is drawn already. Warns if that fails.

    For a dataset that is not declared public, it shows neither real images nor samples that the guarantee does not
    cover (rule R9).

    Args:
        trials: the run's trials, in any state; only finished trials are shown.
        session: a session on the trials' dataset. Its test split opens if the `real` reference is to be drawn.

    Returns:
        The file; None if there is nothing to show, or it cannot be drawn.
    """
    spec = session.inputs.spec
    path = dataset_folder(session.out, spec.name) / PICTURE
    with best_effort(path), session.phase("evaluate", FIRST_SEED):
        shown = list(_shown(trials, session))
        if shown:
            first = "the first images of each class" if spec.classes else "the first images"
            title = f"{spec.name}: {first}, without selection"
            records = [[trial.title, record.as_json()] for trial, record in shown]
            content = digest([title, records, code_hash("dpbench.results.run_sheet")])
            if content_of(path) != content:  # drawing hashes all samples, to find damaged ones
                write_run_sheet(path, [_group(trial, record, session) for trial, record in shown], title, content)
            return path
    return None


def _shown(trials: Sequence[TrialSpec], session: Session) -> Iterator[tuple[TrialSpec, TrialRecord]]:
    """The finished trials that the sheet shows: the `real` reference, then method by method, in order of ε."""
    methods = list(dict.fromkeys(trial.title for trial in trials))
    real = [trial for trial in trials if trial.is_real and session.inputs.spec.public_benchmark]
    sampled = [trial for trial in trials if not trial.is_real and trial.seed == FIRST_SEED]
    for trial in real + sorted(sampled, key=lambda trial: (methods.index(trial.title), trial.epsilon)):
        folder = trial.folder(session.out)
        record = None
        with suppress(DpbenchError):  # a damaged record; collecting the rows warned of it
            record = folder.read(trial.key) if folder.is_finished else None
        if record is not None and not record.is_sensitive:
            yield trial, record


def _group(trial: TrialSpec, record: TrialRecord, session: Session) -> Group:
    """A trial's samples; the test split for the `real` reference."""
    if trial.is_real:
        test = session.inputs.test
        return Group("real images", "test split", test, range(len(test)))
    samples = trial.folder(session.out).samples(record)
    return Group(trial.title, _heading(record), samples, range(len(samples)))


def _heading(record: TrialRecord) -> str:
    assert record.epsilon is not None
    heading = privacy(record.epsilon)
    return f"{heading} (unverified)" if record.accounting == "unverified" else heading
