"""A sound dataset, and for each check one that breaks its promise."""

from __future__ import annotations

import itertools

import torch

from dpbench import Batch, Dataset, DatasetSpec, ImageDataset
from dpbench.core.files import digest
from dpbench.data.declared import DeclaredDataset


class Split(ImageDataset):
    def __init__(self, spec: DatasetSpec, count: int, seed: int):
        self.spec, self.count, self.seed = spec, count, seed
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.randint(0, 256, (count, *spec.shape), generator=generator).to(torch.uint8)

    def __len__(self) -> int:
        return self.count

    def batch(self, indices) -> Batch:
        index = torch.as_tensor(list(indices), dtype=torch.long)
        return Batch(self.images[index], index % 2)

    @property
    def fingerprint(self) -> str:
        return digest([self.seed, list(self.spec.shape)])


class Noise(Dataset):
    """Noise of two classes."""

    split: type[Split] = Split

    @property
    def spec(self) -> DatasetSpec:
        return DatasetSpec("noise", 1, self.options.resolution or 16, 20, 10, ("even", "odd"), True)

    def open_train(self) -> ImageDataset:
        return self.split(self.spec, 20, 0)

    def open_test(self) -> ImageDataset:
        return self.split(self.spec, 10, 1)


class Undescribed(Noise):
    __doc__ = ""


class DeclaredByFiles(DeclaredDataset):
    """It looks at its files to know what it declares."""

    @property
    def spec(self) -> DatasetSpec:
        return DatasetSpec("noise", 1, 16, len(list(self.options.root.iterdir())), 10, None, True)

    open_train = Noise.open_train
    open_test = Noise.open_test
    name = "broken"


class Uncaptioned(Noise):
    """It declares captions, but has none."""

    class split(Split):
        def batch(self, indices) -> Batch:
            return Batch(super().batch(indices).images)

    @property
    def spec(self) -> DatasetSpec:
        return DatasetSpec("noise", 1, 16, 20, 10, None, True, caption_bytes=8)


class Short(Noise):
    """It has fewer images than it declares."""

    def open_train(self) -> ImageDataset:
        return Split(self.spec, 19, 0)


class FloatSplit(Split):
    def batch(self, indices) -> Batch:
        batch = super().batch(indices)
        return Batch(batch.images / 255, batch.condition)


class Floats(Noise):
    """Its images are floating-point numbers."""

    split = FloatSplit


class UnlabelledSplit(Split):
    def batch(self, indices) -> Batch:
        return Batch(super().batch(indices).images)


class Unlabelled(Noise):
    """It declares classes but has no labels."""

    split = UnlabelledSplit


class BeyondSplit(Split):
    def batch(self, indices) -> Batch:
        batch = super().batch(indices)
        return Batch(batch.images, batch.condition + 1)


class Beyond(Noise):
    """Its labels start at 1."""

    split = BeyondSplit


class SortedSplit(Split):
    def batch(self, indices) -> Batch:
        return super().batch(sorted(indices))


class Sorted(Noise):
    """It sorts the records of a batch."""

    split = SortedSplit


class RandomPrintSplit(Split):
    serial = itertools.count()

    @property
    def fingerprint(self) -> str:
        return str(next(self.serial))


class RandomPrints(Noise):
    """Its fingerprint is another one each time."""

    split = RandomPrintSplit


class OnePrintSplit(Split):
    fingerprint = "noise"


class OnePrint(Noise):
    """Its fingerprint is that of all splits."""

    split = OnePrintSplit


class ResizedContentSplit(Split):
    @property
    def content(self) -> str:
        return digest([self.images.float().mean().item()])


class ResizedContent(Noise):
    """Its content hash is that of the resized pixels."""

    split = ResizedContentSplit


class NoOverlap(Noise):
    """It does not know itself."""

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        return False


BROKEN: list[tuple[str, type[Dataset], str]] = [
    ("check_summary", Undescribed, "has no docstring"),
    ("check_declaration_needs_no_files", DeclaredByFiles, "declaring broken without its files must work"),
    ("check_counts", Short, "declares 20 train images, but has 19"),
    ("check_batches", Floats, r"must be uint8 \[20, 1, 16, 16\], not torch.float32"),
    ("check_batches", Unlabelled, "labels if and only if"),
    ("check_batches", Uncaptioned, r"captions of broken must be \(20, 8\), not None"),
    ("check_batches", Beyond, r"int64 in \[0, 2\)"),
    ("check_indices", Sorted, "must hold records 1, 0 and 1"),
    ("check_fingerprints", RandomPrints, "another fingerprint each time"),
    ("check_fingerprints", OnePrint, "share a fingerprint"),
    ("check_content", OnePrint, "share a content hash"),
    ("check_content", ResizedContent, "depends on the resolution"),
    ("check_overlap", NoOverlap, "must overlap with itself"),
    ("check_declared_without_torch", Noise, "must need no torch"),
]
"""A check, a dataset that fails it, and a part of the message."""
