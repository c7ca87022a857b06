"""What every dataset promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from dpbench.contracts.case import Case, check_summary, require_no_torch
from dpbench.contracts.promise import must_work, require
from dpbench.core.data import DataOptions, Dataset, ImageDataset
from dpbench.data.declared import DeclaredDataset

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.core.specs import Batch


@dataclass(frozen=True)
class DatasetCase(Case[Dataset]):
    """A dataset under test.

    Attributes:
        argument: the part of its name after the colon.
        options: include the folder of its files.
    """

    argument: str = ""
    options: DataOptions = field(kw_only=True)

    def open(self, resolution: int | None = None) -> Dataset:
        """The dataset, newly opened."""
        return self.plugin(self.argument, replace(self.options, resolution=resolution))

    @cached_property
    def splits(self) -> dict[str, ImageDataset]:
        """The opened splits by name. A dataset for public pretraining only has no test split to check."""
        return self.splits_of(self.open())

    def splits_of(self, dataset: Dataset) -> dict[str, ImageDataset]:
        """The splits of an opened dataset that are used in runs."""
        with must_work(f"opening {self.name}"):
            train = dataset.train()
            return {"train": train} if self.plugin.public_only else {"train": train, "test": dataset.test()}


def check_declaration_needs_no_files(case: DatasetCase) -> None:
    """A `DeclaredDataset` knows its declaration without files, and the files do not change it."""
    if not issubclass(case.plugin, DeclaredDataset):
        return
    nowhere = replace(case.options, root=case.folder / "nowhere")
    with must_work(f"declaring {case.name} without its files"):
        declared = case.plugin(case.argument, nowhere).spec
    require(
        declared == case.open().spec,
        f"{case.name} declares other properties once its files are there; declare constants",
    )


def check_declared_without_torch(case: DatasetCase) -> None:
    """The dataset is imported without torch."""
    require_no_torch(case)


def check_counts(case: DatasetCase) -> None:
    """Splits are as long as declared."""
    spec = case.open().spec
    declared = {"train": spec.n_train, "test": spec.n_test}
    for split, images in case.splits.items():
        found = len(images)
        difference = f"declares {declared[split]} {split} images, but has {found}; correct its spec"
        require(found == declared[split], f"{case.name} {difference}")


def check_batches(case: DatasetCase) -> None:
    """A batch is uint8 images of the declared shape, with labels within the classes, or captions, as declared."""
    import torch

    for split, images in case.splits.items():
        spec, everything = images.spec, range(len(images))
        with must_work(f"reading {split} of {case.name}"):
            batch = images.batch(everything)
        pixels = _images(batch)
        is_right = pixels.dtype == torch.uint8 and tuple(pixels.shape) == (len(images), *spec.shape)
        wanted = f"uint8 [{len(images)}, {', '.join(map(str, spec.shape))}]"
        require(is_right, f"batches of {case.name} must be {wanted}, not {pixels.dtype} {list(pixels.shape)}")
        labels = batch.labels
        has_labels = labels is not None
        require(has_labels == bool(spec.classes), f"{case.name} must have labels if and only if it declares classes")
        if labels is not None:
            is_within = labels.dtype == torch.int64 and bool(((labels >= 0) & (labels < spec.n_classes)).all())
            require(is_within, f"labels of {case.name} must be int64 in [0, {spec.n_classes})")
        captions = tuple(batch.captions.shape) if batch.captions is not None else None
        declared = (len(images), spec.caption_bytes) if spec.caption_bytes else None
        require(captions == declared, f"captions of {case.name} must be {declared}, not {captions}")


def check_indices(case: DatasetCase) -> None:
    """A batch keeps the order of its indices, repeats duplicates, and may be empty."""
    for images in case.splits.values():
        with must_work(f"reading single records, duplicates and nothing of {case.name}"):
            single = [images.batch([index]) for index in (0, 1)]
            batch, empty = images.batch([1, 0, 1]), images.batch([])
        expected = [single[1], single[0], single[1]]
        same = all(_equal(batch, row, record) for row, record in enumerate(expected))
        require(same, f"batch([1, 0, 1]) of {case.name} must hold records 1, 0 and 1 in this order")
        found = tuple(_images(empty).shape)
        require(found == (0, *images.spec.shape), f"batch([]) of {case.name} must hold no record, not {list(found)}")


def check_fingerprints(case: DatasetCase) -> None:
    """A fingerprint is the same whenever the dataset is opened, and differs between splits and resolutions."""
    first = [images.fingerprint for images in case.splits.values()]
    again = [images.fingerprint for images in case.splits_of(case.open()).values()]
    require(first == again, f"{case.name} has another fingerprint each time; hash its content")
    smaller = [images.fingerprint for images in _smaller(case).values()]
    is_distinct = len({*first, *smaller}) == len(first) + len(smaller)
    require(is_distinct, f"two splits or resolutions of {case.name} share a fingerprint; hash all that differs")


def check_content(case: DatasetCase) -> None:
    """`content` differs between splits; where it is not the fingerprint, it is the same at every resolution."""
    content = [images.content for images in case.splits.values()]
    require(len(set(content)) == len(content), f"train and test of {case.name} share a content hash; hash the records")
    for images, small in zip(case.splits.values(), _smaller(case).values(), strict=True):
        is_default = images.content == images.fingerprint
        same = is_default or images.content == small.content
        require(same, f"the content hash of {case.name} depends on the resolution; hash the records themselves")


def check_overlap(case: DatasetCase) -> None:
    """A dataset overlaps with itself."""
    is_reflexive = case.plugin.overlap(case.argument, case.argument)
    require(is_reflexive, f"{case.name} must overlap with itself, so that it is never public and sensitive at once")


def _smaller(case: DatasetCase) -> dict[str, ImageDataset]:
    """The splits at half the resolution."""
    return case.splits_of(case.open(case.open().spec.resolution // 2))


def _images(batch: Batch) -> Tensor:
    require(batch.images is not None, "a batch of a dataset must hold images")
    assert batch.images is not None
    return batch.images


def _equal(batch: Batch, row: int, record: Batch) -> bool:
    """Whether a row of a batch is a single record."""
    return all(bool((tensor[row] == record.tensors[name][0]).all()) for name, tensor in batch.tensors.items())


CHECKS: tuple[Callable[[DatasetCase], None], ...] = (
    check_summary,
    check_declaration_needs_no_files,
    check_counts,
    check_batches,
    check_indices,
    check_fingerprints,
    check_content,
    check_overlap,
)
"""For every dataset."""

BUILTIN_CHECKS: tuple[Callable[[DatasetCase], None], ...] = (*CHECKS, check_declared_without_torch)
"""For the datasets of dpbench itself, which are declared without torch."""
