"""Interfaces of image data: a `Dataset` plugin opens splits, an `ImageDataset` is one split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from dpbench.core.folders import cache_folder
from dpbench.core.progress import Progress, Silent
from dpbench.core.seal import Seal
from dpbench.core.specs import Batch, DatasetSpec


@dataclass(frozen=True)
class DataOptions:
    """Options for opening a dataset.

    Attributes:
        root: data folder, where dataset files are searched for, downloaded and cached.
        resolution: height and width of the images, or None for the dataset's own default.
        download: whether missing files may be downloaded.
        public_benchmark: whether the user declares a folder of images a public benchmark (rule R9).
        cache: folder of files that can be made again: resized copies of published images.
        progress: shows a bar while such a copy is made.
    """

    root: Path
    resolution: int | None = None
    download: bool = False
    public_benchmark: bool = False
    cache: Path = field(default_factory=cache_folder)
    progress: Progress = field(default_factory=Silent, compare=False)


class ImageDataset(ABC):
    """One split of a dataset, whose images are decoded when a batch is read."""

    spec: DatasetSpec

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in that order: uint8 images [b, c, h, w], and labels int64 [b] if the spec declares
        classes, or captions uint8 [b, spec.caption_bytes] if it declares captions (see `core.captions`).

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

        Private runs are counted per content. The default is the fingerprint, which distinguishes more than necessary.
        """
        return self.fingerprint


class Dataset(ABC):
    """A dataset plugin. The first line of its docstring is what `dpbench list datasets` prints.

    Args:
        argument: the part after the colon in a name such as "folder:PATH"; "" without a colon.
        options: see `DataOptions`.
    """

    public_only: ClassVar[bool] = False  # for public pretraining only, not a benchmark
    prompts: Sequence[str] = ()  # public prompts for sampling, if the dataset has captions
    folder: Path | None = None  # where its files are; None if it reads none
    decodes_late: bool = False  # whether a damaged file shows only when a batch with its image is read

    def __init__(self, argument: str, options: DataOptions):
        self.argument = argument
        self.options = options

    @classmethod
    def canonical(cls, argument: str) -> str:
        """The canonical form of an argument, if it can be written in several ways, as the path of a folder can."""
        return argument

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        """Whether the datasets of two arguments share images. If so, one is not public while the other is sensitive."""
        return argument == other

    @classmethod
    def collections(cls, argument: str) -> frozenset[str]:
        """The collections that the images come from. Datasets with a collection in common share images, even if their
        plugins differ. Empty by default: nothing is shared with other plugins.
        """
        return frozenset()

    @property
    def origin(self) -> Dataset:
        """The dataset that the records belong to; another one if this dataset is a part of it."""
        return self

    @property
    @abstractmethod
    def spec(self) -> DatasetSpec:
        """The dataset's declaration, known without reading its files if shape and counts are fixed in advance."""

    def train(self) -> ImageDataset:
        """The sensitive split.

        Raises:
            DataError: files are missing (the message says where to put them) or damaged.
            PrivacyError: the dataset is sealed; see `Seal`.
        """
        Seal.check(self.origin, "train")
        return self.open_train()

    def test(self) -> ImageDataset:
        """The test split, used by the evaluator only, after sampling.

        Raises:
            DataError: as `train`.
            PrivacyError: as `train`.
        """
        Seal.check(self.origin, "test")
        return self.open_test()

    @abstractmethod
    def open_train(self) -> ImageDataset:
        """Opens the sensitive split. Callers use `train`."""

    @abstractmethod
    def open_test(self) -> ImageDataset:
        """Opens the test split. Callers use `test`."""
