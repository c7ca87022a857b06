"""Public maps from images to feature vectors whose inner products are a kernel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor


class Features(ABC):
    """φ(x) of norm at most 1, computed from an image and public data alone.

    Attributes:
        chunk: images whose features are computed at once for a release.
    """

    chunk: ClassVar[int] = 500

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Images [b, c, h, w] in [0, 1] -> features [b, d]; each row depends on its own image only."""

    def sums(self, images: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """Sums over groups of m consecutive images, for an MMD.

        Args:
            images: [groups · m, c, h, w] in [0, 1].
            groups: number of groups.

        Returns:
            (Σ φ(x) [groups, d], Σ of the kernel over pairs of different images of a group [groups]).
        """
        features = self(images).unflatten(0, (groups, -1))
        sums = features.sum(1)
        return sums, sums.square().sum(1) - features.square().sum((1, 2))

    def loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """MMD² between groups of images and their targets: a scalar with a graph; see `mmd_loss`.

        Args:
            images: [groups · m, c, h, w] in [0, 1].
            targets: mean features to match, [groups, d].
        """
        sums, pairs = self.sums(images, len(targets))
        return mmd_loss(sums, pairs, len(images) // len(targets), targets)


def mmd_loss(sums: Tensor, pairs: Tensor, m: int, targets: Tensor) -> Tensor:
    """Unbiased MMD² to the targets, up to a constant, summed over classes: a scalar.

    The mean kernel of pairs of different generated images, minus twice the mean of φ(x)·target. Pairs of an image with
    itself are left out: in small batches they would favour identical images.

    Args:
        sums: Σφ over the m generated images of each class, [classes, d].
        pairs: Σ of the kernel over pairs of different images, [classes].
        m: number of generated images of each class.
        targets: mean features to match, [classes, d].
    """
    return (pairs / (m * (m - 1)) - 2 * (sums * targets).sum(1) / m).sum()
