"""Interfaces of image data: a `Dataset` plugin opens splits, an `ImageDataset` is one split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dpbench.core.seal import guarded
from dpbench.core.specs import Batch, DatasetSpec


@dataclass(frozen=True)
class DataOptions:
    """Options for opening a dataset.

    Attributes:
        root: data folder, in which dataset files are searched, downloaded and cached.
        resolution: height and width of the images, or None for the dataset's own default.
        download: whether missing files may be downloaded.
        public_benchmark: whether the user declares a folder of images a public benchmark (rule R9).
    """

    root: Path
    resolution: int | None = None
    download: bool = False
    public_benchmark: bool = False


class ImageDataset(ABC):
    """One split of a dataset, whose images are decoded when a batch is read."""

    spec: DatasetSpec

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`: uint8 images [b, c, h, w] and int64 labels [b], in that order.

        Raises:
            DataError: a file is missing or damaged; the message names it.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash that changes when the content, order, resolution or split changes."""

    @property
    def content(self) -> str:
        """A hash of the records that is the same at every resolution, under every name and in every order.

        Private runs are counted per content. By default the fingerprint, which distinguishes more than necessary.
        """
        return self.fingerprint


class Dataset(ABC):
    """A dataset plugin. The first line of its docstring is what `dpbench list datasets` prints.

    Args:
        argument: what follows the colon of a name such as "folder:PATH"; "" without one.
        options: see `DataOptions`.
    """

    public_only: ClassVar[bool] = False  # for public pretraining only, not a benchmark

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for split in {"train", "test"} & vars(cls).keys():
            setattr(cls, split, guarded(split, vars(cls)[split]))

    def __init__(self, argument: str, options: DataOptions):
        self.argument = argument
        self.options = options

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        """Whether the datasets of two arguments share images, so that one is not public if the other is sensitive."""
        return argument == other

    @property
    @abstractmethod
    def spec(self) -> DatasetSpec:
        """The dataset's declaration, known without reading its files if shape and counts are fixed in advance."""

    @abstractmethod
    def train(self) -> ImageDataset:
        """The sensitive split.

        Raises:
            DataError: files are missing (the message says where to put them) or damaged.
        """

    @abstractmethod
    def test(self) -> ImageDataset:
        """The test split, opened only by the evaluator, after sampling."""
