"""Draws a fitted method's samples in chunks and refuses what are no images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.errors import DpbenchError
from dpbench.core.method import Method
from dpbench.core.specs import Conditions
from dpbench.results import samples

CHUNK = 500
"""Images per call of `Method.sample`, and per shard. Samples depend on it, as chunks share one generator."""


def sample_all(method: Method[Any], conditions: Conditions, folder: Path, run: RunContext) -> None:
    """Fills `folder` with the images that `conditions` ask for.

    Raises:
        DpbenchError: the method gives anything but uint8 images of the dataset's shape, one per condition.
    """
    samples.clear(folder)
    with run.progress.phase("sampling", conditions.count) as advance:
        for number, chunk in enumerate(conditions.chunks(CHUNK)):
            images = method.sample(chunk, run)
            _check(images, (chunk.count, *method.spec.shape))
            samples.write_shard(folder, number, images.cpu())
            advance(chunk.count)
    samples.write_conditions(folder, conditions)


def _check(images: Tensor, shape: tuple[int, ...]) -> None:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or tuple(images.shape) != shape:
        found = f"{images.dtype} {list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise DpbenchError(f"sample() must give uint8 images {list(shape)}, not {found}")
