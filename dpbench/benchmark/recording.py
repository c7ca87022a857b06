"""A private run stands in the user's privacy record before it learns anything, and before there is a row of it (R9)."""

from __future__ import annotations

from dpbench.benchmark.provenance import now
from dpbench.benchmark.sources import Sources
from dpbench.benchmark.trial import Trial
from dpbench.core.errors import DpbenchError
from dpbench.results import privacy_record


def record(trial: Trial, run: str, sources: Sources) -> None:
    """Adds a run of a trial to the record of its dataset, unless it stands there already.

    Args:
        run: tells it apart from other runs, of the same trial too.
    """
    if privacy_record.holds(sources.record, run):
        return
    entry = {"date": now(), "run": run, "key": trial.key, "method": trial.method, "seed": trial.seed}
    dataset = {"dataset": trial.spec.name, "fingerprint": trial.fingerprint}
    budget = {"epsilon": trial.epsilon, "delta": trial.delta}
    privacy_record.append(sources.record, entry | dataset | budget)


def check_recorded(run: str, sources: Sources) -> None:
    """Makes sure that a run is still in the record.

    Raises:
        DpbenchError: it is not.
    """
    if not privacy_record.holds(sources.record, run):
        raise DpbenchError(
            f"the privacy record {sources.record} lost this run while it went on, so it gets no row; put the file "
            "back if you can, and run the same command again: what was learnt is taken up, and recorded anew"
        )
