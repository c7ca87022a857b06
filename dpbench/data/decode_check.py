"""Decodes all images of a split once, so that damaged files are found before training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.progress import Progress

BATCH = 256
NAMED = 3
"""Maximum number of damaged images that the message describes."""


def check_images(split: ImageDataset, name: str, progress: Progress) -> None:
    """Decodes all images of a split; nothing is computed from them.

    Args:
        split: any split.
        name: the name of the split, for the progress bar.
        progress: where a bar counts images.

    Raises:
        DataError: some images cannot be read; the message gives their number, and describes the first `NAMED`.
    """
    damaged: list[DataError] = []
    with progress.phase(f"checking {name} images", len(split)) as advance:
        for start in range(0, len(split), BATCH):
            records = range(start, min(start + BATCH, len(split)))
            try:
                split.batch(records)
            except DataError:
                damaged += _damaged(split, records)
            advance(len(records))
    if len(damaged) == 1:
        raise damaged[0]
    if damaged:
        more = " ..." * (len(damaged) > NAMED)
        raise DataError(f"{len(damaged)} images are damaged: {', '.join(map(str, damaged[:NAMED]))}{more}")


def _damaged(split: ImageDataset, records: Sequence[int]) -> Iterator[DataError]:
    for record in records:
        try:
            split.batch([record])
        except DataError as error:
            yield error
