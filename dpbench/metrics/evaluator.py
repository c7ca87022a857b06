"""Runs metrics on a set of images against a reference set, over features that they share.

`evaluate` scores synthetic images; `evaluate_real` scores real images as if they were synthetic, which is the `real`
row that all others are read against (rule R8).
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError, DpbenchError, MissingScore
from dpbench.core.files import digest
from dpbench.core.plugins import Estimate, Evaluation, Extractor, Metric
from dpbench.core.registries import EXTRACTORS, METRICS
from dpbench.core.run import RunContext
from dpbench.core.specs import Batch
from dpbench.metrics import caveat
from dpbench.metrics.check import check
from dpbench.metrics.extraction import RealCache
from dpbench.metrics.features import Features


@dataclass(frozen=True)
class Scores:
    """What an evaluation found.

    Attributes:
        values: column -> finite number, or None where it could not be computed.
        missing: column -> why it is None.
        protocol: what the numbers depend on besides the images (sample counts, extractors, classifiers): rows that
            differ in it must not be ranked against each other.
        caveats: what a reader has to know of the images or, after a metric's name, of its values.
        seconds: metric -> time it took; features count for the metric that needed them first.
        ci95: column -> half the width of its 95% bootstrap interval over images, where there is one.
    """

    values: Mapping[str, float | None] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    ci95: Mapping[str, float] = field(default_factory=dict)

    def __or__(self, other: Scores) -> Scores:
        """Both together; where both have a column or a protocol entry, `other`'s counts."""
        return Scores(
            {**self.values, **other.values},
            {**{c: why for c, why in self.missing.items() if c not in other.values}, **other.missing},
            {**self.protocol, **other.protocol},
            tuple(dict.fromkeys(self.caveats + other.caveats)),
            {**self.seconds, **other.seconds},
            {**{c: half for c, half in self.ci95.items() if c not in other.values}, **other.ci95},
        )


class SharedEvaluation(Evaluation):
    """An evaluation that computes each extractor's features once, when the first metric asks for them.

    Args:
        synthetic, reference, run: see `Evaluation`.
        train: the sensitive split, or None where it is not at hand.
        passing: folder for what belongs to this evaluation alone; its owner takes it away.
        kept: where what was computed from real images is kept.

    Attributes:
        descriptions: of every extractor used so far, by name.
        undeclared: the name of the metric that is being computed, if it does not declare `reads_train`: what rests on
            train is refused to it, as its columns would be shown where train's must not (rule R9).
    """

    def __init__(
        self,
        synthetic: ImageDataset,
        reference: ImageDataset,
        run: RunContext,
        train: ImageDataset | None,
        passing: Path,
        kept: RealCache,
    ):
        self.spec = reference.spec
        self.synthetic = synthetic
        self.reference = reference
        self.run = run
        self.descriptions: dict[str, str] = {}
        self.undeclared = ""
        self._train = train
        self._passing = RealCache(passing)
        self._kept = kept
        self._extractors: dict[str, Extractor | MissingScore] = {}

    @property
    def train(self) -> ImageDataset:
        """See `Evaluation.train`.

        Raises:
            DpbenchError: the metric that asks does not declare `reads_train`.
            DataError: train is the reference.
        """
        self._refuse_undeclared("the train split")
        if self._train is None:
            raise MissingScore("the train split is not at hand")
        if self._train.fingerprint == self.reference.fingerprint:
            raise DataError("the train images are the reference images; compare with another split")
        return self._train

    def extractor(self, name: str) -> Extractor:
        """See `Evaluation.extractor`; one that cannot be had is not tried again.

        Raises:
            DpbenchError: it was trained on train, and the metric that asks does not declare `reads_train`.
        """
        extractor = EXTRACTORS.get(name)
        if extractor.reads_train:
            self._refuse_undeclared(f"the extractor '{name}', which was trained on train,")
        if name not in self._extractors:
            try:
                made = extractor(self)
            except MissingScore as why:
                self._extractors[name] = why
            else:
                self._extractors[name] = made
                self.descriptions[name] = made.description
        found = self._extractors[name]
        if isinstance(found, MissingScore):
            raise found
        return found

    def _refuse_undeclared(self, what: str) -> None:
        if self.undeclared:
            raise DpbenchError(f"metric '{self.undeclared}' asks for {what} but does not declare reads_train = True")

    def features(self, extractor: str) -> tuple[Features, Features]:
        """See `Evaluation.features`."""
        return (
            self._features(extractor, self.synthetic, "synthetic", self._passing),
            self._features(extractor, self.reference, "reference", self._kept),
        )

    def train_features(self, extractor: str) -> Features:
        """See `Evaluation.train_features`."""
        return self._features(extractor, self.train, "train", self._kept)

    def _features(self, name: str, images: ImageDataset, role: str, cache: RealCache) -> Features:
        return cache.features(name, self.extractor(name), images, self.run, f"{name}: {role}")

    def keep(self, name: str, key: Any, make: Callable[[torch.Generator], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """See `Evaluation.keep`."""
        return self._kept.get(name, key, make)


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
    with tempfile.TemporaryDirectory(prefix="dpbench-") as passing:
        kept = kept or RealCache(Path(passing, "real"))
        evaluation = SharedEvaluation(synthetic, reference, run, train, Path(passing, "synthetic"), kept)
        for name, metric in chosen.items():
            evaluation.run = replace(run, generator=_generator(run, name))
            evaluation.undeclared = "" if metric.reads_train else name
            scores |= _score(name, metric, evaluation)
    if evaluation.descriptions:
        used = "; ".join(description for _, description in sorted(evaluation.descriptions.items()))
        scores |= Scores(protocol={"extractor": used})
    return scores


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
        metric.protocol,
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
