"""Images from another program: read in order, one part at a time, and never resized."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec

PART_BYTES = 64 * 2**20
"""Size of a part in bytes; larger if there would be more than `MOST_PARTS` parts."""

MOST_PARTS = 512
"""Maximum number of parts: each is stored as a file that is kept open."""

Images = NDArray[np.uint8]


class Generated(ABC):
    """Generated images that imitate a dataset.

    Args:
        path: the file or folder with the images.
        spec: declaration of the dataset.

    Attributes:
        labels: int64 [n]; None if the images have no labels or the dataset has no classes.
    """

    labels: NDArray[np.int64] | None

    def __init__(self, path: Path, spec: DatasetSpec):
        self.path = path
        self.spec = spec
        self._remarks: dict[str, None] = {}

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _read(self, rows: int) -> Iterator[Images]:
        """`parts` with `rows` images in each."""

    def parts(self) -> Iterator[Images]:
        """All images in order, uint8 [b, *spec.shape]; all parts except the last have the same length.

        Raises:
            DataError: an image cannot be read, or does not have the dataset's size or colours; the message names it.
        """
        rows = PART_BYTES // int(np.prod(self.spec.shape))
        return self._read(max(1, rows, -(-len(self) // MOST_PARTS)))

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks about the images that belong next to their scores; complete once all parts have been read."""
        return tuple(self._remarks)

    def _remark(self, text: str) -> None:
        self._remarks[text] = None

    def _fitted(self, images: Images, name: Callable[[int], str]) -> Images:
        """Images in the dataset's channels: uint8 [b, 1 or 3, h, w] -> [b, *spec.shape].

        Args:
            images: any number of images.
            name: the name of the i-th image in messages.
        """
        height, width = images.shape[2:]
        wanted = self.spec.resolution
        if (height, width) != (wanted, wanted):
            other = f"; --resolution {width} opens the dataset at that size" if height == width else ""
            raise DataError(
                f"{name(0)} has {width}x{height} pixels, but {self.spec.name} has {wanted}x{wanted}; "
                f"images are not resized{other}"
            )
        if self.spec.channels == images.shape[1]:
            return images
        if self.spec.channels == 3:
            self._remark(f"grey images were repeated in the three channels of {self.spec.name}")
            return images.repeat(3, axis=1)
        coloured = (images != images[:, :1]).any(axis=(1, 2, 3))
        if coloured.any():
            raise DataError(
                f"{name(int(coloured.argmax()))} has colours, but {self.spec.name} is grey; convert it to grey"
            )
        return images[:, :1]
