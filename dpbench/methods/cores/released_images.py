"""Images released by a private query, as training data. Anything computed from them is post-processing."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.training.augmentation import AUGMENTATIONS, Augmentation
from dpbench.training.public_batches import Draw


class ReleasedImages:
    """Released images and their classes.

    Args:
        images: float [n, c, h, w] in [-1, 1], on the CPU.
        labels: int64 [n], or None for a dataset without classes.
    """

    def __init__(self, images: Tensor, labels: Tensor | None):
        self.images = images
        self.labels = labels

    def batches(self, augmentation: Augmentation, run: RunContext) -> Draw:
        """A function that draws batches with replacement.

        It maps a size to (augmented images [size, c, h, w] in [-1, 1] on the run's device, int64 labels [size] or
        None). The run's generator is the source of randomness.
        """

        def draw(size: int) -> tuple[Tensor, Tensor | None]:
            chosen = torch.randint(len(self.images), (size,), generator=run.generator)
            images = AUGMENTATIONS[augmentation](self.images[chosen], run.generator).to(run.device)
            return images, None if self.labels is None else self.labels[chosen]

        return draw
