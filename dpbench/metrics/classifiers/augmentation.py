"""Random changes of training images that keep their class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

GREY = 128


@dataclass(frozen=True)
class Augmentation:
    """What changes at random, for each image on its own. By default nothing.

    Attributes:
        shift: pixels by which an image moves at most, in each direction; edge pixels are repeated.
        mirror: whether left and right are exchanged in half of the images.
        cutout: side of a square that turns grey, centred anywhere in the image (DeVries, Taylor: arXiv 1708.04552); 0
            for none.
    """

    shift: int = 0
    mirror: bool = False
    cutout: int = 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """uint8 [b, c, h, w] on the CPU -> the changed images; the given ones stay as they are.

        Args:
            images: a batch.
            generator: CPU generator.
        """
        b, _, h, w = images.shape
        x = images.numpy()
        if self.shift:
            rows, columns = torch.randint(0, 2 * self.shift + 1, (2, b), generator=generator).numpy()
            padded = np.pad(x, ((0, 0), (0, 0), (self.shift, self.shift), (self.shift, self.shift)), mode="edge")
            x = sliding_window_view(padded, (h, w), axis=(2, 3))[np.arange(b), :, rows, columns]
        x = np.array(x)
        if self.mirror:
            mirrored = torch.rand(b, generator=generator).numpy() < 0.5
            x[mirrored] = x[mirrored, :, :, ::-1]
        if self.cutout:
            centres = torch.stack([torch.randint(size, (b,), generator=generator) for size in (h, w)], 1)
            for image, (top, left) in zip(x, (centres - self.cutout // 2).tolist(), strict=True):
                image[:, max(0, top) : top + self.cutout, max(0, left) : left + self.cutout] = GREY
        return torch.from_numpy(x)
