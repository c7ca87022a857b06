"""Copies of slow splits: decoded and resized once, then read from a memory-mapped file by every process."""

from __future__ import annotations

import errno
import io
import math
import os
import warnings
from abc import abstractmethod
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError, DpbenchError, RunError
from dpbench.core.folders import check_space
from dpbench.core.locks import making
from dpbench.core.progress import Progress
from dpbench.core.specs import Batch
from dpbench.data.arrays import Indices, as_index

COPIES = "copies"
"""Folder of the copies in the cache folder."""

BLOCK = 256
"""Number of images decoded and written at a time."""

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}

PART = ".part"
"""Suffix of a copy that is being made."""


class SlowSplit(ImageDataset):
    """A split whose images are slow to read, but whose labels or captions are in memory.

    Attributes:
        condition: `Batch.condition` for the whole split: int64 [n], uint8 [n, spec.caption_bytes] or None.
    """

    condition: Tensor | None

    @property
    @abstractmethod
    def images_key(self) -> str:
        """A hash of everything that the decoded images depend on: the files, the shape, and the code that decodes."""


class ResizedCopy(ImageDataset):
    """A slow split with a copy of its images, uint8 [n, c, h, w], in `<folder>/<name>-<key>.npy`.

    The copy is made when the first batch is read. One process makes it, and others wait. A process that is killed
    leaves a part, which the next one completes. A split with a damaged image has no copy: its images are read from
    their files, so that each damaged image is named. Images are also read from their files, with a warning, if the disk
    has no room or is full before the copy is complete.

    Args:
        split: the split to copy.
        folder: folder of the copies.
        name: prefix of the copy's file name and of the progress bar, e.g. "coco-train-64".
        progress: where a bar counts images while the copy is made.
    """

    def __init__(self, split: SlowSplit, folder: Path, name: str, progress: Progress):
        self.spec = split.spec
        self._split = split
        self._folder = folder
        self._name = name
        self._progress = progress

    def __len__(self) -> int:
        return len(self._split)

    def batch(self, indices: Indices) -> Batch:
        """See `ImageDataset.batch`."""
        index = as_index(indices)
        if self._images is None:
            return self._split.batch(index.tolist())
        condition = self._split.condition
        images = torch.from_numpy(np.array(self._images[index]))
        return Batch(images, None if condition is None else condition[torch.from_numpy(index)])

    @property
    def fingerprint(self) -> str:
        """See `ImageDataset.fingerprint`; that of the split."""
        return self._split.fingerprint

    @property
    def content(self) -> str:
        """See `ImageDataset.content`; that of the split."""
        return self._split.content

    @cached_property
    def _images(self) -> NDArray[np.uint8] | None:
        """The copy, memory-mapped; None if it cannot be made."""
        path = self._folder / f"{self._name}-{self._split.images_key}.npy"
        if not self._is_whole(path):
            with making(path):
                if not self._is_whole(path) and not self._make(path):
                    return None
        images: NDArray[np.uint8] = np.load(path, mmap_mode="r")
        return images

    @property
    def _shape(self) -> tuple[int, ...]:
        return (len(self), *self.spec.shape)

    @property
    def _header(self) -> bytes:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": self._shape})
        return header.getvalue()

    def _is_whole(self, path: Path) -> bool:
        return path.is_file() and path.stat().st_size == len(self._header) + math.prod(self._shape)

    def _make(self, path: Path) -> bool:
        """Makes the copy; False if an image is damaged or there is no room."""
        part = path.with_suffix(PART)
        done = part.stat().st_size if part.is_file() else 0
        try:
            check_space(self._folder, math.prod(self._shape) - done, f"the resized images of {self._name}")
        except DpbenchError as error:
            self._warn(error)
            return False
        try:
            self._write(part)
            part.replace(path)
        except DataError:
            part.unlink(missing_ok=True)
            return False
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise RunError(f"cannot write {part}: {error.strerror or error}") from error
            part.unlink(missing_ok=True)
            self._warn(f"there is no room for {path}")
            return False
        return True

    def _warn(self, reason: object) -> None:
        warnings.warn(f"{reason}: images are decoded whenever they are read, which is slower", stacklevel=2)

    def _write(self, part: Path) -> None:
        """Writes all images, or those that are still missing, to a file. Every block is on disk before the next starts:
        only the last block may be damaged after a crash, and it is written again.
        """
        header, bytes_per_image = self._header, math.prod(self.spec.shape)
        with part.open("r+b" if part.is_file() else "w+b") as file:
            blocks = (file.seek(0, os.SEEK_END) - len(header)) // (BLOCK * bytes_per_image)
            done = max(0, blocks - 1) * BLOCK
            file.seek(0)
            file.write(header)
            file.truncate(len(header) + done * bytes_per_image)
            file.seek(0, os.SEEK_END)
            with self._progress.phase(f"resizing {self._name}", len(self)) as advance:
                advance(done)
                for start in range(done, len(self), BLOCK):
                    block = range(start, min(start + BLOCK, len(self)))
                    images = self._split.batch(block).images
                    assert images is not None
                    file.write(images.numpy().tobytes())
                    file.flush()
                    os.fsync(file.fileno())
                    advance(len(block))
