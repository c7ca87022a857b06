"""The base classes of metrics and feature extractors, and what a metric may look at."""

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

    from dpbench.evaluation.features import Features


@dataclass(frozen=True)
class Column:
    """One leaderboard column of a metric."""

    name: str
    better: Literal["high", "low"]
    help: str


class Estimate(NamedTuple):
    """A score and how far another draw of as many images would move it.

    Attributes:
        value: the score.
        ci95: half the width of its 95% bootstrap interval over images; see `evaluation.intervals`.
    """

    value: float
    ci95: float


class Evaluation(ABC):
    """What a metric may look at: images, and features that all metrics share.

    Attributes:
        spec: what the dataset declares.
        synthetic: the images that are scored, labelled with the conditions they were sampled with.
        reference: the real images that they are compared with: the test split.
        run: device, progress, and a generator that is the metric's own.
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
            MissingScore: it is not at hand.
        """

    @abstractmethod
    def extractor(self, name: str) -> Extractor:
        """The named extractor, loaded once.

        Raises:
            UnknownName: no extractor has that name.
            DpbenchError: it was trained on train, and the metric does not declare `reads_train`.
            MissingScore: it cannot be had here (weights are missing, the resolution does not suit).
        """

    @abstractmethod
    def features(self, extractor: str) -> tuple[Features, Features]:
        """(synthetic, reference) features of the named extractor, computed once for all metrics.

        Raises:
            UnknownName, DpbenchError, MissingScore: as `extractor`.
        """

    @abstractmethod
    def train_features(self, extractor: str) -> Features:
        """Features of `train`.

        Raises:
            UnknownName, DpbenchError, MissingScore: as `extractor` and `train`.
        """

    @abstractmethod
    def cached(self, name: str, key: Any, make: Callable[[torch.Generator], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """What was learnt from real images for measuring (a classifier), made once; see `PublicCache.get`.

        Shared by all trials on a dataset that is a public benchmark; forgotten after the trial otherwise (rule R9).
        """


class Extractor(ABC):
    """A fixed function from images to features: what metrics see instead of pixels.

    Args:
        evaluation: gives the shape of the images and the device; no images are read from it where `reads_train` is
            false.

    Raises:
        MissingScore: it cannot be had here (weights are missing, the resolution does not suit); the reason is recorded.
    """

    reads_train: ClassVar[bool] = False
    """Whether it was trained on the sensitive split: only for metrics that declare the same."""
    batch: ClassVar[int] = 256
    """How many images it takes at once: what fits a small GPU with all activations."""
    description: str
    """Everything that its features depend on besides the images (weights' hash, resizing), as it stands in the row."""

    def __init__(self, evaluation: Evaluation):
        self.spec = evaluation.spec

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] on the evaluation's device -> float32 [b, ...], each image's independent of the others."""


class Metric(ABC):
    """A family of numbers that says how good synthetic images are."""

    columns: ClassVar[tuple[Column, ...]]
    """The first one stands for the family in the table on a screen, if `headline` is true."""
    default: ClassVar[bool] = True
    """Whether it is computed where no metrics are named."""
    headline: ClassVar[bool] = True
    """Whether the table on a screen shows its first column."""
    reads_train: ClassVar[bool] = False
    """Whether it looks at the sensitive split: for datasets that are no public benchmark it is not shown (rule R9)."""
    real_row_images: ClassVar[Literal["test half", "train"]] = "test half"
    """What stands in for synthetic images in the `real` row: one half of test (against the other), or train."""
    protocol: ClassVar[str] = ""
    """What the numbers depend on besides images and features; stands in the row, and scores of another are outdated."""

    @abstractmethod
    def compute(self, evaluation: Evaluation) -> Mapping[str, float | Estimate]:
        """Column name -> value, with its bootstrap interval where there is one.

        Raises:
            MissingScore: it cannot be computed here (no classes, no weights ...); the reason goes into the row.
        """
