"""Images that another program made, as it left them: read in order, a part at a time, and never resized."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec

PART_BYTES = 64 * 2**20
"""How much of the images one part holds ..."""

MOST_PARTS = 512
"""... or more, so that there are no more parts than this: each becomes a file that is kept open."""

Images = NDArray[np.uint8]


class Generated(ABC):
    """A set of images that claims to imitate a dataset.

    Args:
        path: where the images lie.
        spec: what the dataset declares.

    Attributes:
        labels: int64 [n]; None where the images carry none, or the dataset has no classes.
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
        """All images in order, all parts of the same length but for the last: uint8 [b, *spec.shape].

        Raises:
            DataError: an image cannot be read, or its size or colours are not the dataset's; the message names it.
        """
        rows = PART_BYTES // int(np.prod(self.spec.shape))
        return self._read(max(1, rows, -(-len(self) // MOST_PARTS)))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the scores has to know of the images; complete once they have been read."""
        return tuple(self._remarks)

    def _remark(self, text: str) -> None:
        self._remarks[text] = None

    def _fitted(self, images: Images, name: Callable[[int], str]) -> Images:
        """Images in the dataset's channels: uint8 [b, 1 or 3, h, w] -> [b, *spec.shape].

        Args:
            name: what to call the i-th of them in a message.
        """
        height, width = images.shape[2:]
        wanted = self.spec.resolution
        if (height, width) != (wanted, wanted):
            other = f"; --resolution {width} takes the dataset at that size" if height == width else ""
            raise DataError(
                f"{name(0)} has {width}x{height} pixels, but {self.spec.name} {wanted}x{wanted}; "
                f"images are not resized{other}"
            )
        if self.spec.channels == images.shape[1]:
            return images
        if self.spec.channels == 3:
            self._remark(f"grey images were repeated in the three channels of {self.spec.name}")
            return images.repeat(3, axis=1)
        coloured = (images != images[:, :1]).any(axis=(1, 2, 3))
        if coloured.any():
            raise DataError(f"{name(int(coloured.argmax()))} has colours, but {self.spec.name} is grey; make it grey")
        return images[:, :1]
