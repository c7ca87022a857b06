"""Finds images that a public source has in common with a sensitive split, such as those of a renamed copy."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from torch import Tensor

from dpbench.core.counted import counted
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.progress import Progress

BATCH = 256


def check_apart(public: ImageDataset, sensitive: ImageDataset, progress: Progress) -> None:
    """Checks that no public image equals a sensitive one, pixel by pixel.

    Only copies are found, in whatever file, folder or zip: after another crop, scaling or compression, an image is
    another image. Images of a single colour do not count, because they say nothing about anybody.

    The outcome depends on sensitive images and has no noise, so no guarantee covers it. It reaches the screen and the
    state folder of the user who gave both datasets, and no row: a trial runs as if nothing had been compared, or does
    not start.

    Args:
        public: public images, in the shape of the sensitive ones.
        sensitive: the sensitive split.
        progress: where a bar counts images.

    Raises:
        DataError: they have images in common; the message says how many.
    """
    with progress.phase("comparing public and sensitive images", len(public) + len(sensitive)) as advance:
        known: set[bytes] = set()
        for hashes in _hashes(sensitive):
            known.update(filter(None, hashes))
            advance(len(hashes))
        shared = 0
        for hashes in _hashes(public):
            shared += sum(image in known for image in hashes)
            advance(len(hashes))
    if shared:
        raise DataError(
            f"{counted(shared, 'image')} of the {len(public)} of the public source '{public.spec.name}' "
            f"{'is' if shared == 1 else 'are'} also in the sensitive dataset '{sensitive.spec.name}'; remove them from "
            "one of the two, or choose another source"
        )


def _hashes(split: ImageDataset) -> Iterator[list[bytes | None]]:
    """A hash of each image's pixels, in batches; None for images of a single colour."""
    for start in range(0, len(split), BATCH):
        images = split.batch(range(start, min(start + BATCH, len(split)))).images
        assert images is not None
        plain = (images == images[:, :, :1, :1]).flatten(1).all(1)
        yield [None if flat else _hash(image) for image, flat in zip(images, plain.tolist(), strict=True)]


def _hash(image: Tensor) -> bytes:
    return blake2b(image.numpy().tobytes(), digest_size=16).digest()
