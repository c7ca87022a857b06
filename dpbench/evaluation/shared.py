"""The evaluation that is passed to metrics, with extractors and features shared by all of them."""

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
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.features import Features
from dpbench.evaluation.score_protocol import code_note


class SharedEvaluation(Evaluation):
    """An evaluation that computes each extractor's features once, when the first metric asks for them.

    Args:
        synthetic, reference, run: see `Evaluation`.
        train: the sensitive split, or None if it is not available.
        temporary: folder for features of the synthetic images; the caller deletes it.
        real_cache: stores everything that is computed from real images.

    A metric that does not declare `reads_train` can get neither the train split nor anything computed from it: its
    columns are shown even where columns computed from train must not be (rule R9).

    Attributes:
        used_extractors: name -> description and code hash of every extractor that the current metric has used.
    """

    def __init__(
        self,
        synthetic: ImageDataset,
        reference: ImageDataset,
        run: RunContext,
        train: ImageDataset | None,
        temporary: Path,
        real_cache: EvaluationCache,
    ):
        self.spec = reference.spec
        self.synthetic = synthetic
        self.reference = reference
        self.run = run
        self.used_extractors: dict[str, str] = {}
        self._undeclared = ""
        self._train = train
        self._temporary = EvaluationCache(temporary)
        self._real_cache = real_cache
        self._extractors: dict[str, Extractor | MissingScore] = {}

    def begin(self, name: str, metric: Metric, generator: torch.Generator) -> None:
        """Starts a metric: everything until the next call is on its behalf.

        Args:
            name: name of the metric.
            metric: the metric.
            generator: its random generator.
        """
        self.run = replace(self.run, generator=generator)
        self.used_extractors = {}
        self._undeclared = "" if metric.reads_train else name

    @property
    def train(self) -> ImageDataset:
        """See `Evaluation.train`.

        Raises:
            DpbenchError: the current metric does not declare `reads_train`.
            MissingScore: train is not available.
            DataError: train is the reference set.
        """
        self._refuse_undeclared("the train split")
        if self._train is None:
            raise MissingScore("the train split is not available")
        if self._train.fingerprint == self.reference.fingerprint:
            raise DataError("the train images are the reference images; compare with another split")
        return self._train

    def extractor(self, name: str) -> Extractor:
        """See `Evaluation.extractor`; an extractor that failed to load is not loaded again.

        Raises:
            DpbenchError: it was trained on train, and the current metric does not declare `reads_train`.
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
        note = code_note(extractor)
        self.used_extractors[name] = f"{found.description} ({note})" if note else found.description
        return found

    def _refuse_undeclared(self, what: str) -> None:
        if self._undeclared:
            raise DpbenchError(f"metric '{self._undeclared}' uses {what} but does not declare reads_train = True")

    def features(self, extractor: str, most: int | None = None) -> tuple[Features, Features]:
        """See `Evaluation.features`."""
        return (
            self.synthetic_features(extractor, most),
            self._features(extractor, self.reference, "reference", self._real_cache, most),
        )

    def synthetic_features(self, extractor: str, most: int | None = None) -> Features:
        """See `Evaluation.synthetic_features`."""
        return self._features(extractor, self.synthetic, "synthetic", self._temporary, most)

    def train_features(self, extractor: str, most: int | None = None) -> Features:
        """See `Evaluation.train_features`."""
        return self._features(extractor, self.train, "train", self._real_cache, most)

    def _features(
        self, name: str, images: ImageDataset, role: str, cache: EvaluationCache, most: int | None
    ) -> Features:
        return cache.features(name, self.extractor(name), images, self.run, f"{name}: {role}", most)

    def cached(self, name: str, key: Any, make: Callable[[torch.Generator], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """See `Evaluation.cached`."""
        return self._real_cache.get(name, key, make)
