"""Bicubic interpolation, a control that adds no detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpbench.core.context import RunContext
from dpbench.core.refiner import Refiner, RefinerSettings

if TYPE_CHECKING:
    from torch import Tensor


class Bicubic(Refiner[RefinerSettings]):
    """Bicubic interpolation of the coarse image: a control that adds no detail."""

    uses_public = False

    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """See `Refiner.refine`."""
        from torch.nn.functional import interpolate

        return interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False).clamp(-1, 1)
