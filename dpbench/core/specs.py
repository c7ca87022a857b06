"""Values that parts exchange: dataset declarations, batches of records, sampling conditions, privacy budgets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.errors import DpbenchError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DatasetSpec:
    """The declared, public properties of a dataset (rule R6); everything else about it is private.

    Attributes:
        name: command-line name, e.g. "mnist" or "folder:/data/faces", in a canonical form if there are several.
        channels: 1 or 3.
        resolution: height and width in pixels.
        n_train: number of records of the sensitive split.
        n_test: number of records of the test split.
        classes: class names in label order, or None for a dataset without classes.
        public_benchmark: whether un-noised statistics and real images may be shown (rules R6 and R9).
    """

    name: str
    channels: int
    resolution: int
    n_train: int
    n_test: int
    classes: tuple[str, ...] | None
    public_benchmark: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (channels, height, width)."""
        return (self.channels, self.resolution, self.resolution)

    @property
    def n_classes(self) -> int:
        """Number of classes, 0 without classes."""
        return len(self.classes or ())


@dataclass(frozen=True)
class Batch:
    """Some records of a dataset, or what `PrivateData.derive` made of them.

    Attributes:
        images: uint8 [b, c, h, w]; None in a derived batch.
        labels: int64 [b], or None for a dataset without classes.
        derived: [b, ...] what `derive` computed per record; None otherwise.
    """

    images: Tensor | None = None
    labels: Tensor | None = None
    derived: Tensor | None = None

    def __len__(self) -> int:
        tensor = self.images if self.images is not None else self.derived
        return 0 if tensor is None else len(tensor)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with `change(tensor)` applied to every tensor it holds (to move, select or repeat records)."""
        images, labels, derived = (t if t is None else change(t) for t in (self.images, self.labels, self.derived))
        return Batch(images, labels, derived)

    def repeat(self, views: int) -> Batch:
        """Every record `views` times, record-major: the copies of one record stand together."""
        return self if views == 1 else self.map(lambda t: t.repeat_interleave(views, dim=0))


@dataclass(frozen=True)
class Conditions:
    """What to sample: class labels, or nothing but a count. Public, and fixed before `fit` (rule R7)."""

    count: int
    labels: tuple[int, ...] | None = None

    @classmethod
    def balanced(cls, count: int, n_classes: int) -> Conditions:
        """`count` images with equally many of each class, classes taking turns; unconditional without classes."""
        return cls(count, tuple(i % n_classes for i in range(count)) if n_classes else None)

    def chunks(self, size: int) -> Sequence[Conditions]:
        """The same conditions in order, at most `size` at a time."""
        starts = range(0, self.count, size)
        return [
            Conditions(min(size, self.count - s), None if self.labels is None else self.labels[s : s + size])
            for s in starts
        ]


@dataclass(frozen=True)
class Request:
    """The samples requested from a trial, fixed before it is fitted."""

    conditions: Conditions


@dataclass(frozen=True)
class Budget:
    """An (ε, δ) privacy budget. ε = 0 allows no use of private data; ε = ∞ is the non-private reference.

    Raises:
        DpbenchError: ε is negative or not a number, or δ is outside (0, 1).
    """

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if math.isnan(self.epsilon) or self.epsilon < 0:
            raise DpbenchError(f"ε must be a positive number, not {self.epsilon}")
        if not 0 < self.delta < 1:
            raise DpbenchError(f"δ must lie in (0, 1), not {self.delta}; a usual choice is below 1/n")


def default_delta(n: int) -> float:
    """δ = 1/(n ln n) (rule R3)."""
    return 1 / (max(n, 3) * math.log(max(n, 3)))
