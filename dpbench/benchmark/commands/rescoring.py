"""`dpbench evaluate --all` as a function: fills the empty cells of finished trials from their stored samples.

import dpbench
dpbench.evaluate_all("results", metrics=["fid", "kid"])
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.redrawing import mend_samples
from dpbench.benchmark.trials.scoring import chosen_metrics, score
from dpbench.core.errors import UNFINISHED, DpbenchError, UnknownName
from dpbench.core.progress import Display
from dpbench.core.typed_values import as_declared
from dpbench.data.opening import canonical_name
from dpbench.results.leaderboard_file import LeaderboardFile
from dpbench.results.leaderboard_rows import rows_of
from dpbench.results.record import TrialRecord
from dpbench.results.trial_folder import TrialFolder


class Unscored(DpbenchError):
    """Some trials could not be scored. All others were.

    Attributes:
        rows: the rows that `evaluate_all` would have returned.
    """

    exit_code = UNFINISHED

    def __init__(self, failed: int, rows: pd.DataFrame):
        super().__init__(f"{failed} of {len(rows)} trials could not be scored; the reasons are above")
        self.rows = rows


def evaluate_all(
    out: Path | str = Path("results"),
    metrics: Sequence[str] | None = None,
    *,
    datasets: Sequence[str] = (),
    display: Display | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Computes the missing scores of finished trials, without training, and writes OUT/leaderboard.csv.

    A trial's method need not be installed. A score that is added later equals the one that would have been computed
    with the trial. A cell with a stored reason for being empty (such as missing weights) is tried again.

    Args:
        out: folder of results.
        metrics: names of metrics, by default all.
        datasets: only trials on these datasets; by default on all.
        display: where progress shows.
        options: further fields of `RunRequest`: protocol, data, download, device, precision, plugins.

    Returns:
        One line per trial, in the order in which they were scored; columns as in `results.row`.

    Raises:
        Unscored: a trial could not be scored (its dataset now has other images ...), or its samples are damaged; all
            others were scored.
        DpbenchError: the request is wrong; then nothing has been written.
    """
    request = RunRequest.of(out=out, metrics=metrics, **options)
    request.load_plugins()
    return rescore(request, as_declared("datasets", Sequence[str], datasets), display)


def rescore(request: RunRequest, datasets: Sequence[str] = (), display: Display | None = None) -> pd.DataFrame:
    """`evaluate_all` for a request."""
    chosen = chosen_metrics(request)
    trials = _finished(request.out, datasets)
    failed = 0
    with Session.open(request, display, writes=True) as session:
        try:
            for number, (record, folder) in enumerate(trials, start=1):
                session.display.say(f"[{number}/{len(trials)}] {record}, {record.dataset}")
                try:
                    session = _session_of(record, session)
                    with folder.lock(session.display):
                        score(record, folder, chosen, session, retry=True)
                        _warn_of_damage(record, folder)
                        mend_samples(record, folder, session)
                except DpbenchError as error:
                    failed += 1
                    warnings.warn(f"not scored: {record} ({folder.path}): {error}", stacklevel=2)
        finally:
            rows = LeaderboardFile(request.out).write()
    rows = rows_of(rows, [record.key for record, _ in trials])
    if failed:
        raise Unscored(failed, rows)
    return rows


def _finished(out: Path, datasets: Sequence[str]) -> list[tuple[TrialRecord, TrialFolder]]:
    """The finished trials below `out`, grouped by dataset and resolution; warns of damaged trials.

    If a trial's folder was copied, the folder named after its key counts.
    """
    found: dict[str, tuple[TrialRecord, TrialFolder]] = {}
    for folder in TrialFolder.finished(out):
        try:
            record = folder.read_sampled()
        except DpbenchError as error:
            warnings.warn(f"left out: {error}", stacklevel=3)
            continue
        if record.reference == "real" and not record.config:
            again = "`dpbench run` makes its successor"
            warnings.warn(f"left as it is: {folder.path} compares the halves of test; {again}", stacklevel=3)
        elif folder.path.name == record.key or record.key not in found:
            found[record.key] = record, folder
    if not found:
        raise DpbenchError(f"no finished trials are in {out}; `dpbench run` makes some, --out sets the folder")
    names = {record.dataset for record, _ in found.values()}
    wanted = {canonical_name(name) for name in datasets}
    for name in sorted(wanted - names):
        raise UnknownName("dataset with results", name, names)
    chosen = [(record, folder) for record, folder in found.values() if not wanted or record.dataset in wanted]
    return sorted(chosen, key=lambda trial: (trial[0].dataset, trial[0].resolution, trial[0].public_benchmark))


def _warn_of_damage(record: TrialRecord, folder: TrialFolder) -> None:
    """Warns of a damaged model or ledger, which scores do not depend on."""
    try:
        folder.check_model_and_ledger(record)
    except DpbenchError as error:
        warnings.warn(f"{record} ({folder.path}): {error}", stacklevel=3)


def _session_of(record: TrialRecord, session: Session) -> Session:
    """A session on the trial's dataset: the last session if it fits, else a new one. No file is read yet."""
    wanted = (record.dataset, record.resolution, record.public_benchmark)
    last = session.inputs.spec
    return session if (last.name, last.resolution, last.public_benchmark) == wanted else session.with_dataset(*wanted)
