"""The public images themselves: no model, only a choice among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.public_generator import Candidates, PublicGenerator

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 500
"""Images that are read, or compared with all, at a time."""


@dataclass(frozen=True)
class NearestConfig:
    """Settings of the nearest images."""

    pool: int = option(10_000, "public images to choose from; stored with the model", low=2)
    neighbours: int = option(100, "nearest public images from which a variation of degree 1 is drawn", low=1)
    side: int = option(16, "height and width at which images are compared", low=1)


class NearestImages(PublicGenerator[NearestConfig]):
    """Public images: random ones, and as variations others that are similar in pixels; no trained model.

    A variation of degree g is drawn from the g · `neighbours` nearest images of the pool, the image itself included.
    """

    Config = NearestConfig
    _pool: Tensor | None = None

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """See `PublicGenerator.prepare`: draws the pool, without repetition."""
        import torch

        chosen = torch.randperm(len(public), generator=run.generator)[: self.config.pool].sort().values
        self._pool = torch.cat([_images(public, part.tolist()) for part in chosen.split(CHUNK)])

    def random(self, count: int, run: RunContext) -> Candidates:
        """See `PublicGenerator.random`."""
        import torch

        assert self._pool is not None, "prepare comes first"
        return self.adopt(self._pool[torch.randint(len(self._pool), (count,), generator=run.generator)])

    def vary(self, candidates: Candidates, degree: float, run: RunContext) -> Candidates:
        """See `PublicGenerator.vary`."""
        import torch

        from dpbench.models.nearest_points import nearest_points

        assert self._pool is not None, "prepare comes first"
        k = max(1, min(len(self._pool), round(degree * self.config.neighbours)))
        points = self._points(self._pool).to(run.device)
        places = [
            nearest_points(self._points(part).to(run.device), points, k).cpu()
            for part in candidates.images.split(CHUNK)
        ]
        drawn = torch.randint(k, (len(candidates.images), 1), generator=run.generator)
        return self.adopt(self._pool[torch.cat(places).gather(1, drawn)[:, 0]])

    def state_dict(self) -> dict[str, Any]:
        """The pool, uint8 [n, c, h, w]."""
        return {} if self._pool is None else {"pool": self._pool}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict()`."""
        self._pool = state.get("pool")

    def _points(self, images: Tensor) -> Tensor:
        from dpbench.models.nearest_points import pixel_points

        return pixel_points(images, self.config.side)


def _images(public: ImageDataset, indices: list[int]) -> Tensor:
    images = public.batch(indices).images
    assert images is not None
    return images
