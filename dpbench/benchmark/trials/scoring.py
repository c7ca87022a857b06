"""Scores of a trial's samples against the test split, and the rules for which may be shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from dpbench.benchmark.reporting.cards import write_card
from dpbench.core.context import RunContext
from dpbench.core.errors import DpbenchError
from dpbench.core.extras import lacks_extra
from dpbench.core.folders import cache_folder
from dpbench.core.metric import Metric
from dpbench.core.registries import METRICS
from dpbench.evaluation.score_protocol import is_outdated
from dpbench.evaluation.scores import Scores
from dpbench.results.best_effort import best_effort
from dpbench.results.metric_columns import columns_of, headline_columns, importable_metrics
from dpbench.results.provenance import scored_now
from dpbench.results.real_row import real_values
from dpbench.results.record import TrialRecord
from dpbench.results.rounding import rounded
from dpbench.results.row import make_row
from dpbench.results.trial_folder import TrialFolder
from dpbench.results.trial_log import TrialLog

if TYPE_CHECKING:
    from dpbench.benchmark.inputs import Inputs
    from dpbench.benchmark.request import RunRequest
    from dpbench.benchmark.session import Session

UNDECLARED = (
    "computed from train without noise; kept in the trial's sensitive/ folder, as the dataset is not declared public"
)


def chosen_metrics(request: RunRequest) -> list[str]:
    """The metrics to compute: the requested ones, or else the default ones, and the protocol's; with checked columns.

    Raises:
        UnknownName, DpbenchError: as `columns_of`.
    """
    from dpbench.evaluation.evaluator import default_metrics

    default = default_metrics() if request.metrics is None else []
    chosen = list(dict.fromkeys([*default, *request.named_metrics]))
    columns_of(chosen)
    return chosen


def missing_metrics(folder: TrialFolder, metrics: Sequence[str], retry: bool = False) -> list[str]:
    """Those of `metrics` for which a trial has no value, or a value of an outdated protocol or other code.

    Args:
        retry: whether to include empty cells whose reason still holds, such as weights that are not installed.
    """
    try:
        folder.read_scores()  # those that may be shown: if they are missing or damaged, all are computed again
        scores = folder.read_scores(all_columns=True)
    except DpbenchError:
        return list(metrics)

    def is_missing(name: str) -> bool:
        metric = METRICS.get(name)
        reasons = [scores.missing.get(c.name, "") for c in metric.columns if scores.values.get(c.name) is None]
        empty = any(retry or not _still_holds(reason) for reason in reasons)
        return empty or is_outdated(scores.protocol.get(name), metric)

    return [name for name in metrics if is_missing(name)]


def _still_holds(reason: str) -> bool:
    """Whether a cell would be empty again for this reason; one about weights or a package, as long as it is true."""
    from dpbench.models.pretrained.finding import lacks_weights

    may_change = "installed" in reason or "weights get" in reason
    return bool(reason) and (not may_change or lacks_extra(reason) or lacks_weights(reason))


def score(
    record: TrialRecord, folder: TrialFolder, metrics: Sequence[str], session: Session, retry: bool = False
) -> None:
    """Computes the missing metrics of a sampled trial, which finishes the trial.

    Opens the test split: call it only after sampling.

    Args:
        record, folder: the trial.
        metrics: names of metrics.
        session: a session on the trial's dataset.
        retry: see `missing_metrics`.

    Raises:
        DpbenchError: whatever went wrong, in one line; what was stored before is kept, as are finished metrics.
    """
    from dpbench.benchmark.trials.redrawing import mend_samples

    missing = missing_metrics(folder, metrics, retry)
    if folder.is_finished and not missing:
        session.display.say("  finished already")
    else:
        log = TrialLog(folder.log)
        with log.errors_of(record):
            folder.remove_checkpoints(record.public_benchmark)
            if missing:
                mend_samples(record, folder, session)
                seed = record.seed or 0
                with session.phase("evaluate", seed, folder.path, log=log) as run, log.phase("evaluate"):
                    _add_scores(record, folder, missing, session.inputs, run)
                session.tracking.finish(record, _public_scores(record, folder))
            with best_effort(folder.card):
                write_card(record, folder)
            folder.finish()
            log("finished")
    say_scores(record, folder, session)


def say_scores(record: TrialRecord, folder: TrialFolder, session: Session) -> None:
    """Shows the headline scores of a finished trial on one line, if it has any, beside those of real images."""
    scores = folder.read_scores()
    row, real = make_row(record, scores), real_values(folder.results, record, scores)
    found = [
        f"{c.name} {rounded(row[c.name])}" + (f" (real images: {rounded(real[c.name])})" if c.name in real else "")
        for c in headline_columns()
        if row.get(c.name) is not None
    ]
    if found:
        session.display.say(f"  {', '.join(found)}")


def _public_scores(record: TrialRecord, folder: TrialFolder) -> dict[str, float]:
    """The scores of a trial; none if the dataset is not declared public, as they depend on real images."""
    values = folder.read_scores().values if record.public_benchmark else {}
    return {name: value for name, value in values.items() if value is not None}


def _add_scores(
    record: TrialRecord, folder: TrialFolder, metrics: Sequence[str], inputs: Inputs, run: RunContext
) -> None:
    """Computes `metrics` and adds each to the scores that a trial has: an interruption loses the current one at most.

    Raises:
        DataError: the dataset does not have the images that the trial was made from.
    """
    from dpbench.evaluation.evaluator import evaluate, evaluate_real
    from dpbench.evaluation.extraction import EvaluationCache

    inputs.check_fingerprint(record.dataset_fingerprint)
    train, test = inputs.train, inputs.test
    kept = EvaluationCache(cache_folder() / "real") if record.public_benchmark else None

    def store(scores: Scores) -> None:
        scored = dict.fromkeys(scores.seconds, scored_now())
        _store(record, folder, scores | Scores(protocol={"reference": inputs.fingerprint(test)}, scored=scored))

    if record.reference == "real":
        evaluate_real(metrics, train, test, record.config["samples"], run, kept, store)
    else:
        evaluate(metrics, folder.samples(record, inputs.spec), test, run, train, kept, store)


def _store(record: TrialRecord, folder: TrialFolder, scores: Scores) -> None:
    """Adds scores to those that a trial has."""
    with suppress(DpbenchError):  # there are none yet, or they are damaged
        scores = Scores(**vars(folder.read_scores(all_columns=True))) | scores
    columns, caveats = _hidden(record, scores)
    folder.write_scores(asdict(scores), dict.fromkeys(columns, UNDECLARED), caveats, record.public_benchmark)


def _hidden(record: TrialRecord, scores: Scores) -> tuple[list[str], list[str]]:
    """The columns and caveats that rule R9 keeps in `sensitive/`: those that may depend on train without noise.

    A caveat on the images, not on a metric, compares the scored images with test.
    """
    if record.public_benchmark:
        return [], []
    shown: dict[str, type[Metric]] = {}
    if not record.is_sensitive:
        shown = {name: metric for name, metric in importable_metrics().items() if not metric.reads_train}
    columns = {column.name for metric in shown.values() for column in metric.columns}

    def is_shown(caveat: str) -> bool:
        metric = caveat.partition(":")[0]
        return metric in shown if metric in scores.seconds else not record.is_sensitive

    return [name for name in scores.values if name not in columns], [c for c in scores.caveats if not is_shown(c)]
