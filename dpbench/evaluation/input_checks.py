"""Refuses sets of images that would give a number which means something else than it says."""

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
    """Reads both sets once, before anything expensive starts; of each image it keeps a hash of 8 bytes.

    Gives a `Caveat` where labels say that a class has no synthetic image; where some synthetic images are exact copies
    of reference images, or all are the same image; and where no synthetic image uses the range of values, or the
    colours, that reference images have.

    Raises:
        DataError: a set is empty; the two differ in shape or are the same set, or every synthetic image is a copy of a
            reference image; a batch is not uint8 of the declared shape; a label is outside the reference's classes.
    """
    if synthetic.spec.shape != reference.spec.shape:
        raise DataError(
            f"the synthetic images are {_size(synthetic.spec.shape)} (channels x height x width) but the reference "
            f"images of {reference.spec.name} are {_size(reference.spec.shape)}"
        )
    if synthetic.fingerprint == reference.fingerprint:
        raise DataError("the synthetic images are the reference images; compare with another split")
    ours, theirs = _read(synthetic, "synthetic", reference, run), _read(reference, "reference", reference, run)
    copies, n = int(np.isin(ours.hashes, theirs.hashes).sum()), len(synthetic)
    if copies == n:
        raise DataError(f"every synthetic image ({n}) is a copy of a reference image; compare with another split")
    for text in (*_copied(copies, n), *_collapsed(ours, theirs), *_without_class(ours, reference)):
        warnings.warn(text, Caveat, 2)


@dataclass(frozen=True)
class _Seen:
    """What was noticed in a set of images."""

    hashes: NDArray[np.uint64]  # [n]
    brightest: int
    coloured: bool  # whether the channels of any image differ
    counts: Tensor | None  # images per class, int64 [n_classes]; None without labels


def _copied(copies: int, n: int) -> list[str]:
    return [f"{copies} of {n} synthetic images are exact copies of reference images"] if copies else []


def _collapsed(synthetic: _Seen, reference: _Seen) -> list[str]:
    texts = []
    if len(synthetic.hashes) > 1 and (synthetic.hashes == synthetic.hashes[0]).all():
        texts.append("all synthetic images are the same image: the generator has collapsed")
    if synthetic.brightest <= 1 < reference.brightest:
        texts.append("no synthetic pixel is above 1 of 255: were images in [0, 1] converted without multiplying?")
    if reference.coloured and not synthetic.coloured:
        texts.append("all synthetic images are grey, unlike the reference images")
    return texts


def _without_class(synthetic: _Seen, reference: ImageDataset) -> list[str]:
    if synthetic.counts is None:
        return []
    counts = zip(reference.spec.classes or (), synthetic.counts.tolist(), strict=True)
    empty = [name for name, n in counts if n == 0]
    return [f"no synthetic image of {len(empty)} classes: {_listed(empty)}"] if empty else []


def _read(images: ImageDataset, role: str, reference: ImageDataset, run: RunContext) -> _Seen:
    """Checks every batch."""
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
    return _Seen(hashes, brightest, coloured, counts if labelled else None)


def _checked(batch: Batch, count: int, images: ImageDataset, role: str) -> Tensor:
    """The batch's images, if they are what they should be."""
    if batch.images is None:
        raise DataError(f"the {role} set has no images")
    if batch.images.dtype != torch.uint8:
        raise DataError(f"the {role} images are {batch.images.dtype}, not uint8 from 0 to 255{_remedy(batch.images)}")
    if batch.images.shape != (count, *images.spec.shape):
        raise DataError(
            f"the {role} images come as {_size(tuple(batch.images.shape))} where {count} images of "
            f"{_size(images.spec.shape)} were asked for"
        )
    return batch.images


def _remedy(images: Tensor) -> str:
    """What to do with images of another type, by the range of their values."""
    if images.is_floating_point() and not torch.isfinite(images).all():
        return ", and some values are not finite"
    low, high = float(images.min()), float(images.max())
    if low < -1 or high > 255:
        return f"; they reach from {low:g} to {high:g}"
    if low < 0:
        return "; they look like [-1, 1]: add 1, multiply by 127.5, round and convert"
    return "; they look like [0, 1]: multiply by 255, round and convert" if high <= 1 else "; round and convert"


def _hashes(images: Tensor) -> NDArray[np.uint64]:
    """A hash of each image: uint8 [b, c, h, w] -> [b]."""
    rows = images.cpu().contiguous().numpy()
    return np.frombuffer(b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows), np.uint64)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _listed(names: list[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
