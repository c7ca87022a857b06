"""The base classes of metrics and feature extractors, and the data that a metric may use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.specs import DatasetSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dpbench.core.outcomes import Measured
    from dpbench.evaluation.features import Features

ARROWS = {"high": "↑", "low": "↓"}


@dataclass(frozen=True)
class Column:
    """One leaderboard column of a metric.

    Attributes:
        name: its name, the same in every table.
        better: which values are better; None if neither are, as for a diversity that real images have as well. Rows are
            never ranked by such a column.
        help: what it measures, in one line.
        ranked_by: the column of the same metric that rows are ranked by instead of this one; "" for this one.
    """

    name: str
    better: Literal["high", "low"] | None
    help: str
    ranked_by: str = ""

    @property
    def heading(self) -> str:
        """Its name with an arrow in the direction of better values, if there is one: "fid ↓"."""
        return f"{self.name} {ARROWS[self.better]}" if self.better else self.name


class Estimate(NamedTuple):
    """A score with its sampling uncertainty.

    Attributes:
        value: the score.
        ci95: half-width of its 95% interval, NaN if it has none; see `evaluation.intervals` and `core.outcomes`.
    """

    value: float
    ci95: float


class Evaluation(ABC):
    """The data that a metric may use: images, and features that all metrics share.

    Attributes:
        spec: what the dataset declares.
        synthetic: the scored images, labelled with their sampling conditions.
        reference: the real images to compare with: the test split.
        run: device, progress, and the metric's own generator.
    """

    spec: DatasetSpec
    synthetic: ImageDataset
    reference: ImageDataset
    run: RunContext

    @property
    @abstractmethod
    def train(self) -> ImageDataset:
        """The sensitive split, for metrics that declare `reads_train`.

        Raises:
            DpbenchError: the metric does not declare it.
            MissingScore: it is not available.
        """

    @abstractmethod
    def extractor(self, name: str) -> Extractor:
        """The named extractor, loaded once.

        Raises:
            UnknownName: no extractor has that name.
            DpbenchError: it was trained on train, and the metric does not declare `reads_train`.
            MissingScore: it is not available (weights are missing, or the resolution does not fit).
        """

    @abstractmethod
    def features(self, extractor: str, most: int | None = None) -> tuple[Features, Features]:
        """(synthetic, reference) features of the named extractor, computed once for all metrics.

        Args:
            extractor: its name.
            most: set by a metric that uses only `Features.at_most(most)` of either set. Other images are then skipped,
                unless an earlier metric needed them.

        Raises:
            UnknownName, DpbenchError, MissingScore: as `extractor`.
        """

    @abstractmethod
    def synthetic_features(self, extractor: str, most: int | None = None) -> Features:
        """Features of `synthetic` alone; see `features`.

        Raises:
            UnknownName, DpbenchError, MissingScore: as `extractor`.
        """

    @abstractmethod
    def train_features(self, extractor: str, most: int | None = None) -> Features:
        """Features of `train`; see `features`.

        Raises:
            UnknownName, DpbenchError, MissingScore: as `extractor` and `train`.
        """

    @abstractmethod
    def cached(self, name: str, key: Any, make: Callable[[torch.Generator], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Tensors learned from real images for a metric (a classifier), computed once; see `PublicCache.get`.

        They are shared by all trials on a public benchmark, and deleted after the trial on any other dataset (rule R9).
        """


class Extractor(ABC):
    """A fixed function from images to features.

    Args:
        evaluation: gives the shape of the images and the device; its images are read only if `reads_train` is true.

    Raises:
        MissingScore: it is not available (weights are missing, or the resolution does not fit); the reason is recorded.
    """

    reads_train: ClassVar[bool] = False
    """Whether it was trained on the sensitive split. Only metrics that declare the same may use it."""
    batch: ClassVar[int] = 256
    """Most images per call, small enough for a small GPU with all activations; large images come in smaller batches."""
    description: str
    """Everything that its features depend on besides the images (hash of the weights, resizing); part of the row."""

    def __init__(self, evaluation: Evaluation):
        self.spec = evaluation.spec

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] on the evaluation's device -> float32 [b, ...], each row from its own image alone."""


TOO_LONG = 86_400.0
"""Seconds per row above which a metric is not computed: a day."""


class Metric(ABC):
    """A family of numbers that says how good synthetic images are."""

    columns: ClassVar[tuple[Column, ...]]
    """The first one is shown in the table on a screen if `headline` is true."""
    default: ClassVar[bool] = True
    """Whether it is computed by default."""
    headline: ClassVar[bool] = True
    """Whether the table on a screen shows its first column."""
    reads_train: ClassVar[bool] = False
    """Whether it uses training images. Such scores are shown only for public benchmarks (rule R9)."""
    protocol: ClassVar[str] = ""
    """Everything that the numbers depend on besides images and features, beginning with the metric's version: "v2, at
    most 10000 images". Increment the version with every change of the numbers. Scores of another protocol are computed
    again. A plugin may leave it empty: the hash of its code is stored as well."""

    @classmethod
    def expected_seconds(cls, spec: DatasetSpec, images: int, device: str) -> float:
        """An estimate for a metric that takes hours; 0 by default. Above `TOO_LONG`, the metric is not computed.

        Args:
            spec: what the dataset declares.
            images: the number of images of a row.
            device: where it is computed.
        """
        return 0.0

    @abstractmethod
    def compute(self, evaluation: Evaluation) -> Mapping[str, float | Estimate | Measured]:
        """Column name -> value, with its interval if it has one.

        A mean over the reference images may be a `Measured`, which holds the outcome of each image. Rows are then
        compared image by image.

        Raises:
            MissingScore: it cannot be computed (no classes, no weights ...); the row shows the reason.
        """
