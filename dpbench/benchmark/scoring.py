"""Scores of a trial's samples against the test split, and what of them may be shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from dpbench.benchmark.sources import Sources
from dpbench.benchmark.subject import Subject
from dpbench.core.context import RunContext
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import cache_folder
from dpbench.core.metric import Column, Metric
from dpbench.core.registries import METRICS
from dpbench.evaluation.evaluator import evaluate, evaluate_real
from dpbench.evaluation.extraction import RealCache
from dpbench.evaluation.scores import Scores
from dpbench.results.row import PROTOCOL, is_reserved
from dpbench.results.samples import StoredSamples
from dpbench.results.store import read_scores, write_scores

PROTOCOL_ENTRIES = {*(f.name for f in PROTOCOL), "n_train", "reference"}
"""What scores depend on whatever the metric, beside each metric's own entry under its name."""

UNDECLARED = (
    "made from train without noise; kept in the trial's sensitive/ folder, as the dataset is not declared public"
)


def known_metric(name: str) -> type[Metric]:
    """The metric called `name`, its columns checked.

    Raises:
        UnknownName: it does not exist.
        DpbenchError: it cannot be imported, or fills columns that are not a metric's to fill.
    """
    metric = METRICS.get(name)
    if name in PROTOCOL_ENTRIES:
        raise DpbenchError(f"no metric may be called '{name}', as its protocol would stand in the place of the row's")
    if not metric.columns:
        raise DpbenchError(f"metric '{name}' declares no column; name at least one in `columns`")
    for column in metric.columns:
        if is_reserved(column.name):
            raise DpbenchError(f"metric '{name}' may not fill '{column.name}', a column of the row's own; rename it")
        if not column.name.isidentifier():
            raise DpbenchError(f"metric '{name}' fills '{column.name}'; name it with letters, digits and _ alone")
    return metric


def metric_columns(metrics: Sequence[str]) -> list[Column]:
    """The columns that the named metrics fill, in order.

    Raises:
        UnknownName, DpbenchError: as `known_metric`; or two metrics fill the same column.
    """
    owners: dict[str, str] = {}
    columns = []
    for metric in dict.fromkeys(metrics):
        for column in known_metric(metric).columns:
            if owners.setdefault(column.name, metric) != metric:
                raise DpbenchError(f"metrics '{owners[column.name]}' and '{metric}' both fill '{column.name}'")
            columns.append(column)
    return columns


def missing_metrics(folder: Path, metrics: Sequence[str]) -> list[str]:
    """Those of `metrics` that the trial in `folder` lacks a number of, or has one under an outdated protocol."""
    try:
        scores = read_scores(folder, all_columns=True)
    except DpbenchError:
        return list(metrics)

    def is_missing(name: str) -> bool:
        metric = METRICS.get(name)
        empty = any(scores["values"].get(column.name) is None for column in metric.columns)
        return empty or metric.protocol not in scores["protocol"].get(name, "")

    return [name for name in metrics if is_missing(name)]


def known_columns() -> list[Column]:
    """The columns of all metrics that can be imported."""
    return [column for metric in _importable().values() for column in metric.columns]


def headline_columns() -> list[Column]:
    """The first column of each of them that is a headline: what a table on a screen shows."""
    return [metric.columns[0] for metric in _importable().values() if metric.headline]


def owners() -> dict[str, str]:
    """Column -> the name of its metric."""
    return {column.name: name for name, metric in _importable().items() for column in metric.columns}


def _importable() -> dict[str, type[Metric]]:
    found = {}
    for name in METRICS.names():
        with suppress(DpbenchError):
            found[name] = known_metric(name)
    return found


def score(subject: Subject, metrics: Sequence[str], sources: Sources, run: RunContext) -> None:
    """Computes `metrics` for a sampled trial and adds them to the scores that it has.

    Opens the test split: to be called after sampling only.
    """
    folder = subject.folder
    train, test = sources.train, sources.test
    kept = RealCache(cache_folder() / "real") if subject.public_benchmark else None
    if subject.reference == "real":
        scores = evaluate_real(metrics, train, test, run, kept)
    else:
        scores = evaluate(metrics, StoredSamples(subject.home / "samples", sources.spec), test, run, train, kept)
    scores |= Scores(protocol={"reference": sources.fingerprint(test)})
    try:
        old = read_scores(folder, all_columns=True)
    except DpbenchError:
        pass  # there are none yet, or they are damaged
    else:
        before = Scores(**{**old, "caveats": tuple(old["caveats"])})
        scores = _merged(before, scores)
    write_scores(folder, asdict(scores), dict.fromkeys(_hidden(subject, scores.values), UNDECLARED))


def _merged(old: Scores, new: Scores) -> Scores:
    """Both together; an extractor that either used stays named."""
    used = [s.protocol["extractor"].split("; ") for s in (old, new) if "extractor" in s.protocol]
    extractors = sorted({name for names in used for name in names})
    return old | new | Scores(protocol={"extractor": "; ".join(extractors)} if extractors else {})


def _hidden(subject: Subject, scored: Iterable[str]) -> list[str]:
    """The columns that rule R9 keeps in `sensitive/`: those not known to leave train, or what it leaves, alone."""
    if subject.public_benchmark:
        return []
    if subject.is_sensitive:
        return list(scored)
    harmless = [metric for metric in _importable().values() if _leaves_train(metric, subject)]
    shown = {column.name for metric in harmless for column in metric.columns}
    return [column for column in scored if column not in shown]


def _leaves_train(metric: type[Metric], subject: Subject) -> bool:
    return not metric.reads_train and (subject.reference != "real" or metric.real_stand_in == "test half")
