"""Refuses sets of images that would give a number which means something else than it says."""

from __future__ import annotations

import warnings

import torch

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.progress import track
from dpbench.core.run import RunContext
from dpbench.core.specs import Batch
from dpbench.metrics.caveat import Caveat

BATCH = 1024


def check(synthetic: ImageDataset, reference: ImageDataset, run: RunContext) -> None:
    """Reads both sets once, before anything expensive starts.

    Gives a `Caveat` where labels say that a class has no synthetic image.

    Raises:
        DataError: a set is empty; the two differ in shape or are the same set; a batch is not uint8 of the declared
            shape; a label is outside the reference's classes.
    """
    if synthetic.spec.shape != reference.spec.shape:
        raise DataError(
            f"the synthetic images are {_size(synthetic.spec.shape)} (channels x height x width) but the reference "
            f"images of {reference.spec.name} are {_size(reference.spec.shape)}"
        )
    if synthetic.fingerprint == reference.fingerprint:
        raise DataError("the synthetic images are the reference images; compare with another split")
    counts = _read(synthetic, "synthetic", reference, run)
    _read(reference, "reference", reference, run)
    if counts is not None:
        empty = [name for name, n in zip(reference.spec.classes or (), counts.tolist(), strict=True) if n == 0]
        if empty:
            warnings.warn(f"no synthetic image of {len(empty)} classes: {_listed(empty)}", Caveat, 2)


def _read(images: ImageDataset, role: str, reference: ImageDataset, run: RunContext) -> torch.Tensor | None:
    """Checks every batch; the number of images per class (int64 [n_classes]), or None without labels."""
    if len(images) == 0:
        raise DataError(f"the {role} set has no images")
    n_classes = reference.spec.n_classes
    counts = torch.zeros(n_classes, dtype=torch.int64)
    labelled = n_classes > 0
    starts = range(0, len(images), BATCH)
    for start in track(run.progress, starts, f"checking {role} images", len(starts)):
        indices = range(start, min(start + BATCH, len(images)))
        batch = images.batch(indices)
        _check_images(batch, len(indices), images, role)
        if batch.labels is None:
            labelled = False
        elif labelled:
            if len(batch.labels) != len(indices) or batch.labels.min() < 0 or batch.labels.max() >= n_classes:
                raise DataError(f"the {role} labels are not one number from 0 to {n_classes - 1} per image")
            counts += torch.bincount(batch.labels.cpu(), minlength=n_classes)
    return counts if labelled else None


def _check_images(batch: Batch, count: int, images: ImageDataset, role: str) -> None:
    if batch.images is None:
        raise DataError(f"the {role} set has no images")
    if batch.images.dtype != torch.uint8:
        finite = not batch.images.is_floating_point() or bool(torch.isfinite(batch.images).all())
        problem = "" if finite else ", and some values are not finite"
        raise DataError(f"the {role} images are {batch.images.dtype}, not uint8 from 0 to 255{problem}")
    if batch.images.shape != (count, *images.spec.shape):
        raise DataError(
            f"the {role} images come as {_size(tuple(batch.images.shape))} where {count} images of "
            f"{_size(images.spec.shape)} were asked for"
        )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _listed(names: list[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
