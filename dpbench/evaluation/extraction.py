"""One pass of an extractor over a set of images, its result on disk; that of real images kept for later trials.

A stored set of features belongs to one dataset, split, resolution, extractor, weights and resizing: its key holds the
fingerprint of the images (which all of the first three change), the extractor's description (which names the rest), and
the hash of the code that reads the images and computes the features.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from filelock import FileLock

from dpbench.core.cache import PublicCache
from dpbench.core.closure import code_hash
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.files import digest
from dpbench.core.metric import Extractor
from dpbench.core.progress import track
from dpbench.evaluation.features import Array, Features, write_features


class RealCache(PublicCache):
    """What was computed from real images for measuring: features, and classifiers trained on train.

    Not protected by any budget. Only that of public benchmarks may be kept after a trial (rule R9).
    """

    def features(self, name: str, extractor: Extractor, images: ImageDataset, run: RunContext, title: str) -> Features:
        """The features of `images`, computed if they are not there yet.

        Args:
            name: of the extractor; becomes part of the file name.
            title: what the progress bar is called.
        """
        code = code_hash(extractor, extract, images)
        key = [images.fingerprint, len(images), images.spec.shape, name, extractor.description, code]
        path = self.place(f"{name}-{digest(key)}.npy")
        with FileLock(path.with_suffix(".lock")):
            if path.exists():
                with contextlib.suppress(ValueError):  # a damaged file is made again
                    return Features(path)
            return write_features(path, len(images), extract(extractor, images, run, title))


@torch.no_grad()
def extract(extractor: Extractor, images: ImageDataset, run: RunContext, title: str) -> Iterator[Array]:
    """The features of all images in order, a batch at a time: float32 [b, ...], computed on `run.device`.

    Args:
        title: what the progress bar is called.
    """
    starts = range(0, len(images), extractor.batch)
    for start in track(run.progress, starts, title, len(starts)):
        batch = images.batch(range(start, min(start + extractor.batch, len(images)))).images
        assert batch is not None  # an ImageDataset's batches hold images
        yield extractor(batch.to(run.device)).float().cpu().numpy()
