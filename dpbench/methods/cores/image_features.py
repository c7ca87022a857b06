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
            groups: their number.

        Returns:
            (Σ φ(x) [groups, d], Σ of the kernel over pairs of different images of a group [groups]).
        """
        features = self(images).unflatten(0, (groups, -1))
        sums = features.sum(1)
        return sums, sums.square().sum(1) - features.square().sum((1, 2))
