"""Base class of generated datasets: splits are rendered once, cached in the data folder, and memory-mapped."""

from __future__ import annotations

import json
import os
import zlib
from abc import abstractmethod
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.core.files import digest, write_atomic, write_json
from dpbench.core.locks import making
from dpbench.data.declared import DeclaredDataset
from dpbench.data.synthetic.procedural import Draws, Grid

if TYPE_CHECKING:
    from dpbench.data.arrays import ArrayDataset

CHUNK = 256  # images that share one stream of random numbers
PIECE = 2**18  # pixels rendered at a time, so that they fit into the processor's cache
LABELS, IMAGES = 0, 1  # streams of random numbers
THREADS = min(8, os.cpu_count() or 1)


class RenderedDataset(DeclaredDataset):
    """A dataset that `paint` renders from random numbers.

    Image i of a split depends only on the split, i, `version` and the dataset's argument, not on the number of images,
    the machine or the number of threads. The cache file is `<folder>/<split>-<n>x<resolution>-v<version>.npy`, next to
    a file with its checksum; a file that does not match its checksum is rendered again. It holds the images; labels and
    captions are computed whenever a split is opened.
    """

    version: ClassVar[int]  # incremented whenever `paint` renders different images
    seed: ClassVar[int] = 0  # datasets with different seeds have independent random numbers
    channels = 3
    widths: ClassVar[tuple[int, ...]]  # random numbers per image; appending a width keeps the earlier numbers

    def condition(self, labels: NDArray[np.int64], draws: Iterable[Draws]) -> NDArray[np.int64] | list[str] | None:
        """The condition of each record: its label if there are classes; a subclass may write captions.

        Args:
            labels: the labels of all n records of a split.
            draws: the random numbers of at least n records, in order, as `paint` gets them.
        """
        return labels if self.spec.classes else None

    @abstractmethod
    def paint(self, draws: Draws, labels: NDArray[np.int64], grid: Grid) -> NDArray[np.uint8]:
        """Images of the given labels (all 0 without classes), each independent of the others: uint8 [b, 3, h, w]."""

    def open_train(self) -> ArrayDataset:
        """See `Dataset.open_train`; paints it on first use."""
        return self._split("train", 2 * self.seed, self.spec.n_train)

    def open_test(self) -> ArrayDataset:
        """See `Dataset.open_test`; paints it on first use."""
        return self._split("test", 2 * self.seed + 1, self.spec.n_test)

    def _split(self, split: str, number: int, n: int) -> ArrayDataset:
        from dpbench.data.arrays import ArrayDataset

        chunks = range(-(-n // CHUNK))
        classes = max(self.spec.n_classes, 1)
        labels = np.concatenate([Draws(_rows(number, chunk, LABELS, (1,))).integer(classes) for chunk in chunks])[:n]
        condition = self.condition(labels, (Draws(_rows(number, chunk, IMAGES, self.widths)) for chunk in chunks))
        grid = Grid(self.size)
        step = max(1, PIECE // self.size**2)

        def chunk_of_images(chunk: int) -> bytes:
            rows, kinds = _rows(number, chunk, IMAGES, self.widths), labels[chunk * CHUNK : (chunk + 1) * CHUNK]
            pieces = [slice(start, min(start + step, len(kinds))) for start in range(0, len(kinds), step)]
            return b"".join(self.paint(Draws(rows[piece]), kinds[piece], grid).tobytes() for piece in pieces)

        def write(path: Path) -> None:
            header = {"descr": "|u1", "fortran_order": False, "shape": (n, *self.spec.shape)}
            with path.open("wb") as file, ThreadPoolExecutor(THREADS) as pool:
                np.lib.format.write_array_header_1_0(file, header)
                for images in pool.map(chunk_of_images, chunks):
                    file.write(images)

        path = self.folder / f"{split}-{n}x{self.size}-v{self.version}.npy"
        if not _is_intact(path):
            with making(path):
                if not _is_intact(path):
                    write_atomic(path, write)
                    write_json(path.with_suffix(".json"), {"crc32": _checksum(path)})
        texts = [digest(condition)] if isinstance(condition, list) else []
        fingerprint = digest([self.name, self.version, split, n, self.size, _expected(path), *texts])
        images = np.load(path, mmap_mode="r")
        return ArrayDataset(self.spec, images, condition, fingerprint)


def _rows(split: int, chunk: int, stream: int, widths: tuple[int, ...]) -> NDArray[np.float32]:
    """Random numbers of one chunk, [CHUNK, sum of widths] in [0, 1), even if fewer images are needed."""
    generator = np.random.Generator(np.random.PCG64([split, chunk, stream]))
    return np.hstack([generator.random((CHUNK, width), dtype=np.float32) for width in widths])


def _checksum(path: Path) -> int:
    images: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return zlib.crc32(images.data)


def _expected(path: Path) -> int:
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["crc32"]


def _is_intact(path: Path) -> bool:
    """Whether the cached images exist and match their checksum."""
    try:
        return _checksum(path) == _expected(path)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return False
