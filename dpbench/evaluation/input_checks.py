"""Input checks: rejects sets of images whose scores would be misleading."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.progress import track
from dpbench.core.specs import Batch
from dpbench.evaluation.caveats import Caveat

BATCH = 1024


def check(synthetic: ImageDataset, reference: ImageDataset, run: RunContext) -> None:
    """Reads both sets once, before any expensive computation, with 8 bytes of memory per image.

    Warns with a `Caveat` if a class has no synthetic image; if some synthetic images are exact copies of reference
    images; if all synthetic images are equal; or if all synthetic images are nearly black, or grey, and the reference
    images are not.

    Raises:
        DataError: a set is empty; the two differ in shape or are the same set; every synthetic image is a copy of a
            reference image; a batch is not uint8 of the declared shape; a label is outside the reference's classes.
    """
    if synthetic.spec.shape != reference.spec.shape:
        raise DataError(
            f"the synthetic images are {_size(synthetic.spec.shape)} (channels x height x width) but the reference "
            f"images of {reference.spec.name} are {_size(reference.spec.shape)}"
        )
    if synthetic.fingerprint == reference.fingerprint:
        raise DataError("the synthetic images are the reference images; compare with another split")
    found, real = _read(synthetic, "synthetic", reference, run), _read(reference, "reference", reference, run)
    copies, n = int(np.isin(found.hashes, real.hashes).sum()), len(synthetic)
    if copies == n:
        raise DataError(f"every synthetic image ({n}) is a copy of a reference image; compare with another split")
    for text in (*_copied(copies, n), *_collapsed(found, real), *_without_class(found, reference)):
        warnings.warn(text, Caveat, 2)


@dataclass(frozen=True)
class _Summary:
    """Properties of a set of images."""

    hashes: NDArray[np.uint64]  # [n]
    brightest: int
    coloured: bool  # True if the channels of any image differ
    counts: Tensor | None  # images per class, int64 [n_classes]; None without labels


def _copied(copies: int, n: int) -> list[str]:
    return [f"{copies} of {n} synthetic images are exact copies of reference images"] if copies else []


def _collapsed(synthetic: _Summary, reference: _Summary) -> list[str]:
    texts = []
    if len(synthetic.hashes) > 1 and (synthetic.hashes == synthetic.hashes[0]).all():
        texts.append("all synthetic images are equal: the generator has collapsed")
    if synthetic.brightest <= 1 < reference.brightest:
        texts.append("no synthetic pixel is above 1 of 255: were images in [0, 1] converted without scaling?")
    if reference.coloured and not synthetic.coloured:
        texts.append("all synthetic images are grey, unlike the reference images")
    return texts


def _without_class(synthetic: _Summary, reference: ImageDataset) -> list[str]:
    if synthetic.counts is None:
        return []
    counts = zip(reference.spec.classes or (), synthetic.counts.tolist(), strict=True)
    empty = [name for name, n in counts if n == 0]
    return [f"no synthetic image of {len(empty)} classes: {_listed(empty)}"] if empty else []


def _read(images: ImageDataset, role: str, reference: ImageDataset, run: RunContext) -> _Summary:
    """Checks every batch and summarises the set.

    Raises:
        DataError: see `check`.
    """
    if len(images) == 0:
        raise DataError(f"the {role} set has no images")
    n_classes = reference.spec.n_classes
    counts = torch.zeros(n_classes, dtype=torch.int64)
    labelled, brightest, coloured = n_classes > 0, 0, False
    hashes = np.empty(len(images), dtype=np.uint64)
    starts = range(0, len(images), BATCH)
    for start in track(run.progress, starts, f"checking {role} images", len(starts)):
        indices = range(start, min(start + BATCH, len(images)))
        batch = images.batch(indices)
        pixels = _checked(batch, len(indices), images, role)
        hashes[indices.start : indices.stop] = _hashes(pixels)
        brightest = max(brightest, int(pixels.max()))
        coloured = coloured or bool((pixels != pixels[:, :1]).any())
        if batch.labels is None:
            labelled = False
        elif labelled:
            if len(batch.labels) != len(indices) or batch.labels.min() < 0 or batch.labels.max() >= n_classes:
                raise DataError(f"the {role} labels are not one number from 0 to {n_classes - 1} per image")
            counts += torch.bincount(batch.labels.cpu(), minlength=n_classes)
    return _Summary(hashes, brightest, coloured, counts if labelled else None)


def _checked(batch: Batch, count: int, images: ImageDataset, role: str) -> Tensor:
    """The batch's images: uint8 [count, c, h, w].

    Raises:
        DataError: they have another dtype or shape, or the batch has no images.
    """
    if batch.images is None:
        raise DataError(f"the {role} set has no images")
    if batch.images.dtype != torch.uint8:
        raise DataError(f"the {role} images are {batch.images.dtype}, not uint8 from 0 to 255{_remedy(batch.images)}")
    if batch.images.shape != (count, *images.spec.shape):
        raise DataError(
            f"a batch of {role} images has shape {_size(tuple(batch.images.shape))}, expected {count} images of "
            f"{_size(images.spec.shape)}"
        )
    return batch.images


def _remedy(images: Tensor) -> str:
    """Advice on converting images of another dtype to uint8, guessed from the range of their values."""
    if images.is_floating_point() and not torch.isfinite(images).all():
        return ", and some values are not finite"
    low, high = float(images.min()), float(images.max())
    if low < -1 or high > 255:
        return f"; their values range from {low:g} to {high:g}"
    if low < 0:
        return "; they seem to be in [-1, 1]: add 1, multiply by 127.5, round and convert"
    return "; they seem to be in [0, 1]: multiply by 255, round and convert" if high <= 1 else "; round and convert"


def _hashes(images: Tensor) -> NDArray[np.uint64]:
    """A hash of each image: uint8 [b, c, h, w] -> [b]."""
    rows = images.cpu().contiguous().numpy()
    return np.frombuffer(b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows), np.uint64)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _listed(names: list[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
