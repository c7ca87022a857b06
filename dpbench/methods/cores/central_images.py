"""Noisy central images (DP-FETA, arXiv 2504.01395): the mean image of each class, for a warm-up before DP-SGD."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.specs import Batch
from dpbench.methods.cores.class_sums import class_sums, expected_per_class
from dpbench.privacy.private_data import PrivateData
from dpbench.training.augmentation import Augmentation
from dpbench.training.public import AUGMENTATIONS, Draw, unit_images


class CentralImages:
    """Released central images. Anything computed from them is post-processing.

    Args:
        images: float [n, c, h, w], in [-1, 1] wherever `batches` is used.
        labels: int64 [n], or None for a dataset without classes.
    """

    def __init__(self, images: Tensor, labels: Tensor | None):
        self.images = images
        self.labels = labels

    @classmethod
    def release(
        cls,
        private: PrivateData,
        mechanism: str,
        rate: float = 1.0,
        count: int = 1,
        features: Callable[[Batch], Tensor] = unit_images,
        bounds: tuple[float, float] = (-1.0, 1.0),
    ) -> CentralImages:
        """Releases `count` central images of each class, on the CPU.

        The sums are divided by the expected number of records per class, a public constant, not by the number drawn.

        Args:
            private: the sensitive records.
            mechanism: name of the `NoisySum` of this rate and count in the plan.
            rate: share of the records that each image averages (Poisson).
            count: number of releases.
            features: batch of b records -> float [b, c, h, w], the images to average.
            bounds: range of the features; the noisy means are clamped to it.
        """
        expected = expected_per_class(private, rate)
        sums = [class_sums(private, mechanism, features).cpu() for _ in range(count)]
        means = [(s / expected).clamp(*bounds) for s in sums]
        labels = torch.arange(private.spec.n_classes).repeat(count) if private.spec.classes else None
        return cls(torch.cat(means), labels)

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
