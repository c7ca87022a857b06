"""EMNIST (Cohen et al. 2017): handwritten letters and digits in the format of MNIST."""

from __future__ import annotations

import string
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpbench.core.data import DataOptions
from dpbench.data.sets.torchvision_sets import NIST_DIGITS, IdxDataset

NIST_LETTERS = "NIST letters"
DIGITS, UPPER, LOWER = string.digits, string.ascii_uppercase, string.ascii_lowercase


class Edition(NamedTuple):
    """One of EMNIST's editions: its counts, its classes, the number of its first class, and its content."""

    n_train: int
    n_test: int
    classes: str
    first: int
    collections: frozenset[str]


BOTH = frozenset({NIST_DIGITS, NIST_LETTERS})
MERGED = DIGITS + UPPER + "abdefghnqrt"
"""Lower-case letters that look like upper-case ones share their class."""

EDITIONS = {
    "letters": Edition(124_800, 20_800, LOWER, 1, frozenset({NIST_LETTERS})),
    "balanced": Edition(112_800, 18_800, MERGED, 0, BOTH),
    "byclass": Edition(697_932, 116_323, DIGITS + UPPER + LOWER, 0, BOTH),
    "bymerge": Edition(697_932, 116_323, MERGED, 0, BOTH),
    "digits": Edition(240_000, 40_000, DIGITS, 0, frozenset({NIST_DIGITS})),
    "mnist": Edition(60_000, 10_000, DIGITS, 0, frozenset({NIST_DIGITS})),
}


class EMNIST(IdxDataset):
    """Handwritten letters, 28×28 grey padded to 32×32, 124,800 + 20,800; emnist:balanced also has digits

    `emnist:E` with E from `EDITIONS`; the default is `letters`, whose classes hold both cases. Unchanged at resolution
    28; resized (bicubic, antialiased) at resolutions other than 28 and 32. Reads
    `<root>/emnist/EMNIST/raw/emnist-<edition>-(train|test)-*-ubyte`. Images are upright, as in MNIST, not transposed as
    in the files. The digits of EMNIST and of MNIST come from the same forms, so for a sensitive MNIST, only
    `emnist:letters` can be the public source.
    """

    name = "emnist"
    source = "EMNIST"
    choices = tuple(EDITIONS)

    def __init__(self, argument: str, options: DataOptions):
        super().__init__(argument, options)
        self._edition = EDITIONS[self.choice]
        self.n_train, self.n_test, classes, *_ = self._edition
        self.classes = tuple(classes)

    @classmethod
    def collections(cls, argument: str) -> frozenset[str]:
        """See `Dataset.collections`."""
        edition = EDITIONS.get(cls.chosen(argument))
        return edition.collections if edition else BOTH

    @property
    def _prefixes(self) -> tuple[str, str]:
        return f"emnist-{self.choice}-train", f"emnist-{self.choice}-test"

    @property
    def _archives(self) -> dict[Path, str]:
        return {self._raw / "gzip.zip": self.reader().md5}

    def _fetch(self) -> None:
        self.reader()(self.folder, split=self.choice, download=True)

    def _read(self, train: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The images, memory-mapped, and the labels: the largest edition takes half a gigabyte."""
        images, labels = self._files[:2] if train else self._files[2:]
        shape = (self._count(train), 1, self.native, self.native)
        pixels: NDArray[np.uint8] = np.memmap(images, np.uint8, "r", offset=16, shape=shape)
        numbers = np.fromfile(labels, np.uint8, offset=8).astype(np.int64)
        return pixels.transpose(0, 1, 3, 2), numbers - self._edition.first
