"""Feature extractors: what metrics see instead of pixels, by name, each run once per set of images.

An extractor turns a batch of uint8 images into float32 features of any trailing shape; `extract` goes over a whole set.
Extractors that need weights raise `MissingScore` when they are made without them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.errors import MissingScore
from dpbench.core.progress import track
from dpbench.core.registry import Registry
from dpbench.core.run import RunContext
from dpbench.core.specs import DatasetSpec
from dpbench.models.haar import wavelet_packets

BATCH = 512


class Extractor(ABC):
    """A fixed function from images to features.

    Args:
        spec: shape of the images.

    Raises:
        MissingScore: it cannot be had here (weights are missing, the resolution does not suit); the reason is recorded.
    """

    description: str
    """Everything that its features depend on besides the images, as it stands in the row."""

    def __init__(self, spec: DatasetSpec):
        self.spec = spec

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> float32 [b, ...], each image's features independent of the others."""


def packet_level(resolution: int) -> int:
    """Depth of the packet tree: as deep as sizes halve evenly and packets keep 7 pixels, at most the paper's 4.

    28 -> 2 (7 x 7 packets), 32 -> 2 (8 x 8), 64 -> 3 (8 x 8), 128 -> 4 (8 x 8), 256 -> 4 (16 x 16, as published).
    """
    level = 0
    while level < 4 and resolution % 2 ** (level + 1) == 0 and resolution >> (level + 1) >= 7:
        level += 1
    return level


class WaveletPackets(Extractor):
    """Haar wavelet packets of images in [0, 1]: float32 [b, 4^L, c · (h/2^L)²], L = `packet_level`, natural order.

    The transform is orthonormal, so packets that stand side by side, taken together, are a rotation of the sub-band
    that they were split from: packets k·4^(L-1) ... (k+1)·4^(L-1) - 1 are that of level 1's sub-band k. Fréchet
    distances do not change under rotations, so every sub-band of every level can be read from this one array.
    """

    def __init__(self, spec: DatasetSpec):
        super().__init__(spec)
        self.level = packet_level(spec.resolution)
        if self.level == 0:
            raise MissingScore(f"wavelet packets need an even resolution of at least 14, not {spec.resolution}")
        self.description = f"haar packets level {self.level}, [0, 1]"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] -> float32 [b, 4^L, c · (h/2^L)²]."""
        return wavelet_packets(images.float() / 255, self.level).flatten(2)


EXTRACTORS: Registry[Extractor] = Registry("extractor", {"wavelet-packet": "dpbench.metrics.features:WaveletPackets"})


@torch.no_grad()
def extract(extractor: Extractor, images: ImageDataset, run: RunContext, name: str) -> np.ndarray:
    """The features of all images in order: float32 [n, ...], read and computed in batches on `run.device`.

    Args:
        name: what the progress bar is called.
    """
    starts = range(0, len(images), BATCH)
    parts = []
    for start in track(run.progress, starts, name, len(starts)):
        batch = images.batch(range(start, min(start + BATCH, len(images)))).images
        assert batch is not None  # an ImageDataset's batches hold images
        parts.append(extractor(batch.to(run.device)).float().cpu().numpy())
    return np.concatenate(parts)
