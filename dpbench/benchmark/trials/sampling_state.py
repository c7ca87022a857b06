"""Where sampling stopped, so that an interrupted attempt continues with the images that it would have drawn."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.core.checkpoints import Checkpoint
from dpbench.core.context import RunContext
from dpbench.results.samples import read_shard
from dpbench.training.random_state import generator_states, restore_generators


class SamplingState:
    """The checksums of the shards so far, and the states of all generators before the last one.

    Args:
        checkpoint: where it is stored.
        run: its generators, and the global ones of the CPU and its device, are those that samples are drawn with.
    """

    def __init__(self, checkpoint: Checkpoint, run: RunContext):
        self._checkpoint, self._run = checkpoint, run
        self._checksums: list[int] = []
        self._before = generator_states(self._run)

    def save(self, images: Tensor) -> None:
        """Stores that the next shard is written.

        Args:
            images: its images, uint8 [b, c, h, w].
        """
        self._checksums.append(_checksum(images))
        self._checkpoint.save({"checksums": self._checksums, "generators": self._before})
        self._before = generator_states(self._run)

    def resume(self, folder: Path, draw: Callable[[int], Tensor]) -> int:
        """The number of shards to keep; 0 without an attempt that can be continued exactly.

        The last shard is drawn again. If it differs, for example because the processor rounds differently, sampling
        must start over.

        Args:
            folder: the shards.
            draw: draws the images of the shard with the given number.
        """
        stored = self._checkpoint.load(partial(torch.load, weights_only=True))
        if stored is None or stored["checksums"] != _checksums(folder, len(stored["checksums"])):
            return 0
        restore_generators(self._run, stored["generators"])
        if _checksum(draw(len(stored["checksums"]) - 1)) != stored["checksums"][-1]:
            restore_generators(self._run, self._before)
            return 0
        self._checksums, self._before = stored["checksums"], generator_states(self._run)
        return len(self._checksums)


def _checksum(images: Tensor | NDArray[np.uint8]) -> int:
    return zlib.crc32(np.ascontiguousarray(images).data)


def _checksums(folder: Path, count: int) -> list[int]:
    """The checksums of the first shards in a folder, up to the first one that is missing or damaged."""
    found: list[int] = []
    for number in range(count):
        try:
            found.append(_checksum(read_shard(folder, number)))
        except (OSError, ValueError):
            break
    return found
