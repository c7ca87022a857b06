"""Values that parts of dpbench exchange: dataset declarations, batches, sampling conditions, privacy budgets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

from dpbench.core.errors import DpbenchError
from dpbench.core.names import check_name

if TYPE_CHECKING:
    from torch import Tensor


Condition = Literal["none", "classes", "captions"]
"""What the records of a dataset have besides their images."""

CONDITIONS = frozenset(get_args(Condition))


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
        caption_bytes: bytes of UTF-8 that all captions of a record together are padded or cut to; 0 for a dataset
            without captions. It is a public constant, like the resolution: the captions themselves, their number and
            their lengths are private.

    Raises:
        DpbenchError: both classes and captions are declared, but a record has one condition; or a class name cannot be
            printed in one line.
    """

    name: str
    channels: int
    resolution: int
    n_train: int
    n_test: int
    classes: tuple[str, ...] | None
    public_benchmark: bool
    caption_bytes: int = 0

    def __post_init__(self) -> None:
        if self.classes and self.caption_bytes:
            raise DpbenchError(f"'{self.name}' declares classes and captions, but a record has only one condition")
        for name in self.classes or ():
            check_name(name, "class")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (channels, height, width)."""
        return (self.channels, self.resolution, self.resolution)

    @property
    def condition(self) -> Condition:
        """What a record has besides its image."""
        return "classes" if self.classes else "captions" if self.caption_bytes else "none"

    @property
    def n_classes(self) -> int:
        """Number of classes, 0 without classes."""
        return len(self.classes or ())


@dataclass(frozen=True)
class Batch:
    """Some records of a dataset, or the values that `PrivateData.derive` computed from them.

    Every field is a tensor with the records in its first dimension, or None. Use `dataclasses.replace` or the
    operations below to change a batch: they keep all fields, including those of a subclass.

    Attributes:
        images: uint8 [b, c, h, w]; None in a derived batch without images.
        condition: what an image shows: int64 [b] labels; uint8 [b, length] captions (see `core.captions`); int32
            [b, captions, length] tokens, made from captions by `PrivateData.tokenize`; or None for a dataset without
            labels or captions.
        derived: [b, ...] values that `derive` computed per record; None otherwise.
    """

    images: Tensor | None = None
    condition: Tensor | None = None
    derived: Tensor | None = None

    @property
    def labels(self) -> Tensor | None:
        """int64 [b], or None where the records have no labels."""
        return self.condition if self.condition is not None and self.condition.ndim == 1 else None

    @property
    def class_rows(self) -> Tensor:
        """The row of each record in a tensor with one row per class: its label, or 0 without labels; int64 [b]."""
        import torch

        if self.labels is not None:
            return self.labels
        device = next((tensor.device for tensor in self.tensors.values()), None)
        return torch.zeros(len(self), dtype=torch.long, device=device)

    @property
    def captions(self) -> Tensor | None:
        """UTF-8 bytes padded with zeros, uint8 [b, length], or None where the records have no captions."""
        return self.condition if self.condition is not None and self.condition.ndim == 2 else None

    @property
    def caption_tokens(self) -> Tensor | None:
        """Tokens of each caption, int32 [b, captions, length] (see `core.caption_tokens`), or None without them."""
        return self.condition if self.condition is not None and self.condition.ndim == 3 else None

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The fields that are not None, by name."""
        found = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: tensor for name, tensor in found if tensor is not None}

    def __len__(self) -> int:
        return next((len(tensor) for tensor in self.tensors.values()), 0)

    def map(self, change: Callable[..., Tensor], *others: Batch) -> Batch:
        """The batch with `change(tensor, *tensors of the others)` in place of every tensor.

        Args:
            change: applied field by field.
            others: batches with the same fields.

        Raises:
            ValueError: one batch has a field that another one lacks.
        """
        given = [batch.tensors for batch in (self, *others)]
        if any(tensors.keys() != given[0].keys() for tensors in given):
            raise ValueError(f"the batches have different fields: {', '.join(str(sorted(t)) for t in given)}")
        return replace(self, **{name: change(*(tensors[name] for tensors in given)) for name in given[0]})

    def to(self, device: str) -> Batch:
        """The batch on a device."""
        return self.map(lambda t: t.to(device))

    def select(self, rows: Tensor) -> Batch:
        """The records at `rows` (int64 [k]), or those where `rows` is True (bool [b])."""
        return self.map(lambda t: t[rows.to(t.device)])

    def repeat(self, views: int) -> Batch:
        """Every record `views` times, record-major: the copies of one record are adjacent."""
        return self if views == 1 else self.map(lambda t: t.repeat_interleave(views, dim=0))


@dataclass(frozen=True)
class Conditions:
    """What to sample. Public, and fixed before `fit` (rule R7).

    Attributes:
        count: number of images.
        condition: one label or one text (prompt) per image; None to sample without conditions.
    """

    count: int
    condition: tuple[int, ...] | tuple[str, ...] | None = None

    @property
    def labels(self) -> tuple[int, ...] | None:
        """Class labels, or None where images are not sampled by class."""
        found = self.condition is not None and all(isinstance(c, int) for c in self.condition)
        return cast("tuple[int, ...]", self.condition) if found else None

    @property
    def class_rows(self) -> Tensor:
        """The row of each image in a tensor with one row per class: its label, or 0 without labels; int64 [count]."""
        import torch

        return torch.tensor(self.labels or (0,) * self.count, dtype=torch.long)

    @property
    def texts(self) -> tuple[str, ...] | None:
        """Prompts, or None where images are not sampled by text."""
        found = self.condition is not None and all(isinstance(c, str) for c in self.condition)
        return cast("tuple[str, ...]", self.condition) if found else None

    @classmethod
    def balanced(cls, count: int, kinds: int | Sequence[int] | Sequence[str]) -> Conditions:
        """`count` images with equally many of each kind, kinds taking turns; unconditional if there are no kinds.

        Args:
            count: number of images.
            kinds: number of classes, a list of labels, or a public list of prompts.
        """
        chosen = range(kinds) if isinstance(kinds, int) else kinds
        return cls(count, tuple(chosen[i % len(chosen)] for i in range(count)) if chosen else None)  # type: ignore[arg-type]

    def chunks(self, size: int) -> Sequence[Conditions]:
        """The same conditions in order, at most `size` at a time."""
        return [
            replace(self, count=min(size, self.count - s), condition=self.condition and self.condition[s : s + size])
            for s in range(0, self.count, size)
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


UNUSUAL_DELTA = 1e-5


def check_chosen_delta(delta: float, n: int | None) -> None:
    """Warns if a δ that the user chose protects little (rule R3).

    Args:
        delta: in (0, 1).
        n: number of records; None if unknown.
    """
    if n is not None and delta >= 1 / n:
        warnings.warn(
            f"δ = {delta:.2g} is not below 1/n = {1 / n:.2g}: publishing a random record would satisfy it; "
            f"the default is 1 / (n ln n) = {default_delta(n):.2g}",
            stacklevel=2,
        )
    elif delta > UNUSUAL_DELTA and (n is None or not math.isclose(delta, default_delta(n), rel_tol=0.1)):
        warnings.warn(f"δ = {delta:.2g} is above {UNUSUAL_DELTA:g}: a weak guarantee", stacklevel=2)
