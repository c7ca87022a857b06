"""Runs metrics on a set of images against a reference set, over features that they share.

`evaluate` scores synthetic images; `evaluate_real` scores real images as if they were synthetic, which is the `real`
row that all others are read against (rule R8).
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DpbenchError, MissingScore
from dpbench.core.files import digest
from dpbench.core.metric import Estimate, Metric
from dpbench.core.registries import METRICS
from dpbench.core.specs import Batch
from dpbench.evaluation import caveats as caveat
from dpbench.evaluation.extraction import RealCache
from dpbench.evaluation.input_checks import check
from dpbench.evaluation.scores import Scores
from dpbench.evaluation.shared import SharedEvaluation


def default_metrics() -> list[str]:
    """The names of the registered metrics that are computed where none are named; broken plugins among them."""
    return [name for name in METRICS.names() if _is_default(name)]


def _is_default(name: str) -> bool:
    try:
        return METRICS.get(name).default
    except DpbenchError:
        return True  # so that using it says what is wrong with it


def evaluate(
    metrics: Sequence[str],
    synthetic: ImageDataset,
    reference: ImageDataset,
    run: RunContext,
    train: ImageDataset | None = None,
    kept: RealCache | None = None,
) -> Scores:
    """Scores `synthetic` images against `reference` ones.

    A metric's random numbers depend on the seed of `run.generator` and on the metric's name alone, so a score that is
    added later is the one that would have been computed at first.

    Args:
        metrics: names of metrics; see `default_metrics`.
        synthetic: the images to be scored, labelled with the conditions they were sampled with.
        reference: real images of the same shape (the test split).
        run: device, generator and progress; its public cache is left alone, since features of real images are no
            public data.
        train: the sensitive split, for metrics that read it.
        kept: where features of real images are kept; by default they are forgotten (rule R9).

    Raises:
        UnknownName: a metric does not exist.
        DataError: a set is empty or damaged, the shapes differ, or both sets are the same.
        DpbenchError: two metrics fill the same column, or one does not fill the columns that it declares.
    """
    chosen = {name: METRICS.get(name)() for name in dict.fromkeys(metrics)}
    _refuse_shared_columns(chosen)
    with caveat.collect() as caveats:
        check(synthetic, reference, run)
    scores = Scores(protocol={"n_samples": len(synthetic), "n_reference": len(reference)}, caveats=tuple(caveats))
    extractors: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="dpbench-") as passing:
        kept = kept or RealCache(Path(passing, "real"))
        evaluation = SharedEvaluation(synthetic, reference, run, train, Path(passing, "synthetic"), kept)
        for name, metric in chosen.items():
            evaluation.serve(name, metric, _generator(run, name))
            scores |= _score(name, metric, evaluation)
            extractors |= evaluation.asked
    used = "; ".join(sorted(extractors.values()))
    return scores | Scores(protocol={"extractor": used} if used else {})


def evaluate_real(
    metrics: Sequence[str], train: ImageDataset, test: ImageDataset, run: RunContext, kept: RealCache | None = None
) -> Scores:
    """Scores real images: what a perfect generator would get with as many images.

    Metrics compare one half of `test` (its even positions) with the other (its odd ones), or use `train` in place of
    synthetic images and all of `test` as reference, as their `real_stand_in` says.

    Returns:
        Scores whose `n_samples` and `n_reference` are those of the halves, and `n_train` the number of train images,
        each only where a metric used them.

    Raises:
        As `evaluate`.
    """
    stand_ins = {name: METRICS.get(name).real_stand_in for name in metrics}
    halves = [name for name, stand_in in stand_ins.items() if stand_in == "test half"]
    whole = [name for name, stand_in in stand_ins.items() if stand_in == "train"]
    scores = Scores()
    if whole:
        on_train = evaluate(whole, train, test, run, train, kept)
        left_out = {"n_samples", "n_reference"}
        protocol = {key: value for key, value in on_train.protocol.items() if key not in left_out}
        scores |= replace(on_train, protocol={**protocol, "n_train": len(train)})
    if halves:
        even, odd = _EveryOther(test, 0), _EveryOther(test, 1)
        scores |= evaluate(halves, even, odd, run, train, kept)
    return scores


class _EveryOther(ImageDataset):
    """The even (`first` = 0) or odd (1) positions of a dataset, a split that sorting by class does not upset."""

    def __init__(self, whole: ImageDataset, first: int):
        self.spec = whole.spec
        self._whole, self._first = whole, first

    def __len__(self) -> int:
        return (len(self._whole) + 1 - self._first) // 2

    def batch(self, indices: Sequence[int]) -> Batch:
        return self._whole.batch([2 * i + self._first for i in indices])

    @property
    def fingerprint(self) -> str:
        return digest([self._whole.fingerprint, "every other", self._first])


def _score(name: str, metric: Metric, evaluation: SharedEvaluation) -> Scores:
    """One metric's columns, protocol and time; a reason in place of what cannot be computed."""
    start = time.perf_counter()
    columns = [column.name for column in metric.columns]
    values: dict[str, float | None] = dict.fromkeys(columns)
    missing: dict[str, str] = {}
    ci95: dict[str, float] = {}
    with caveat.collect() as caveats:
        try:
            computed = metric.compute(evaluation)
        except MissingScore as why:
            missing = dict.fromkeys(columns, str(why))
        else:
            if set(computed) != set(columns):
                raise DpbenchError(f"metric '{name}' declares {', '.join(columns)} but computes {', '.join(computed)}")
            for column, found in computed.items():
                value, half = found if isinstance(found, Estimate) else (found, math.nan)
                if math.isfinite(value):
                    values[column] = float(value)
                else:
                    missing[column] = f"the value is {value}"
                if math.isfinite(value) and math.isfinite(half):
                    ci95[column] = float(half)
    return Scores(
        values,
        missing,
        {name: "; ".join(filter(None, [*evaluation.asked.values(), metric.protocol]))},
        tuple(dict.fromkeys(f"{name}: {text}" for text in caveats)),
        {name: time.perf_counter() - start},
        ci95,
    )


def _generator(run: RunContext, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(int(digest([run.generator.initial_seed(), name], 15), 16))


def _refuse_shared_columns(metrics: Mapping[str, Metric]) -> None:
    owners: dict[str, str] = {}
    for name, metric in metrics.items():
        for column in metric.columns:
            other = owners.setdefault(column.name, name)
            if other != name:
                raise DpbenchError(f"metrics '{other}' and '{name}' both fill the column '{column.name}'")
