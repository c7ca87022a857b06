"""What metrics look at, each thing made once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError, DpbenchError, MissingScore
from dpbench.core.metric import Evaluation, Extractor, Metric
from dpbench.core.registries import EXTRACTORS
from dpbench.evaluation.extraction import RealCache
from dpbench.evaluation.features import Features


class SharedEvaluation(Evaluation):
    """An evaluation that computes each extractor's features once, when the first metric asks for them.

    Args:
        synthetic, reference, run: see `Evaluation`.
        train: the sensitive split, or None where it is not at hand.
        passing: folder for what belongs to this evaluation alone; its owner takes it away.
        kept: where what was computed from real images is kept.

    What rests on train is refused to a metric that does not declare `reads_train`: its columns would be shown where
    train's must not (rule R9).

    Attributes:
        asked: description of every extractor that the metric at work has asked for, by name.
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
        self.asked: dict[str, str] = {}
        self._undeclared = ""
        self._train = train
        self._passing = RealCache(passing)
        self._kept = kept
        self._extractors: dict[str, Extractor | MissingScore] = {}

    def serve(self, name: str, metric: Metric, generator: torch.Generator) -> None:
        """From here on `metric`, called `name`, is at work; `generator` is its own."""
        self.run = replace(self.run, generator=generator)
        self.asked = {}
        self._undeclared = "" if metric.reads_train else name

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
                self._extractors[name] = extractor(self)
            except MissingScore as why:
                self._extractors[name] = why
        found = self._extractors[name]
        if isinstance(found, MissingScore):
            raise found
        self.asked[name] = found.description
        return found

    def _refuse_undeclared(self, what: str) -> None:
        if self._undeclared:
            raise DpbenchError(f"metric '{self._undeclared}' asks for {what} but does not declare reads_train = True")

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
