"""Interpolation: the control that adds no detail."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.refiner import Refiner


class Bicubic(Refiner):
    """Bicubic interpolation of the coarse image: the control, no detail added."""

    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """See `Refiner.refine`."""
        return F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False).clamp(-1, 1)
