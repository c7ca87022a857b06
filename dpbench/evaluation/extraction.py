"""Feature extraction: one pass of an extractor over a set of images, stored on disk and reused for real images.

The key of stored features contains the fingerprint of the images (which depends on dataset, split and resolution), the
extractor's description (which names extractor, weights and resizing), and the hash of the code that reads the images
and computes the features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch

from dpbench.core.cache import PublicCache
from dpbench.core.closure import code_hash
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.files import digest
from dpbench.core.locks import making
from dpbench.core.metric import Extractor
from dpbench.core.progress import track
from dpbench.evaluation.features import Array, Features, write_features
from dpbench.evaluation.image_part import ImagePart
from dpbench.evaluation.labels import labels_of
from dpbench.evaluation.stratified import Indices, stratified_part

BATCH_VALUES = 2**23
"""Most pixel values in a batch, 32 MB as floats; an extractor may need several times this."""


class EvaluationCache(PublicCache):
    """A cache of what metrics compute from images: features, and classifiers trained on train.

    An evaluation has one for real images and one for the synthetic images, which ends with it. What comes from real
    images is not covered by the privacy guarantee, and may outlive a trial only for public benchmarks (rule R9).
    """

    def features(
        self,
        name: str,
        extractor: Extractor,
        images: ImageDataset,
        run: RunContext,
        title: str,
        most: int | None = None,
    ) -> Features:
        """The features of `images`, computed unless they are stored already.

        With `most`, these are the features of a stratified part of that size, unless those of all images are stored.

        Args:
            name: name of the extractor, used in the file name.
            extractor: computes the features.
            images: n images.
            run: device and progress.
            title: label of the progress bar.
            most: the number of images that the caller needs; all by default.
        """
        path, labels = self._path(name, extractor, images), self.labels(images)
        if (stored := _load(path, labels)) is not None:
            return stored
        if most is not None and most < len(images):
            part = ImagePart(images, stratified_part(labels, len(images), most))
            return self.features(name, extractor, part, run, title)
        with making(path):
            return _load(path, labels) or write_features(
                path, len(images), self._blocks(name, extractor, images, run, title), labels
            )

    def _blocks(
        self, name: str, extractor: Extractor, images: ImageDataset, run: RunContext, title: str
    ) -> Iterator[Array]:
        """The features of all images in order; read if `images` is a part of a set with stored features."""
        if isinstance(images, ImagePart) and (whole := _load(self._path(name, extractor, images.whole), None)):
            for start in range(0, len(images), extractor.batch):
                yield whole.rows(images.positions[start : start + extractor.batch])
        else:
            yield from extract(extractor, images, run, title)

    def _path(self, name: str, extractor: Extractor, images: ImageDataset) -> Path:
        code = code_hash(extractor, extract, images)
        key = [images.fingerprint, len(images), images.spec.shape, name, extractor.description, code]
        return self.place(f"{name}-{digest(key)}.npy")

    def labels(self, images: ImageDataset) -> Indices | None:
        """The class of each image, int64 [n], read unless it is stored already; None without classes."""
        stored = self.get("labels", [images.fingerprint, len(images)], lambda _: _as_tensors(labels_of(images)))
        return stored["labels"].numpy() if stored else None


def _as_tensors(labels: Indices | None) -> dict[str, torch.Tensor]:
    return {} if labels is None else {"labels": torch.from_numpy(labels)}


def _load(path: Path, labels: Indices | None) -> Features | None:
    """Stored features; None if there are none, or they are damaged and must be computed again."""
    try:
        return Features(path, labels)
    except (OSError, ValueError):
        return None


@torch.no_grad()
def extract(extractor: Extractor, images: ImageDataset, run: RunContext, title: str) -> Iterator[Array]:
    """The features of all images in order, one batch at a time: float32 [b, ...], computed on `run.device`.

    Args:
        title: label of the progress bar.
    """
    rows = max(1, min(extractor.batch, BATCH_VALUES // math.prod(images.spec.shape)))
    starts = range(0, len(images), rows)
    for start in track(run.progress, starts, title, len(starts)):
        batch = images.batch(range(start, min(start + rows, len(images)))).images
        assert batch is not None  # an ImageDataset's batches hold images
        yield extractor(batch.to(run.device)).float().cpu().numpy()
