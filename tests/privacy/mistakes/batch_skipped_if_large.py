"""Skips a batch whose loss is too large, by `torch.where`: one record changes the whole sum.

Bound each record's loss: `losses.clamp(max=0.8)`.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        return torch.where(losses.max() > 0.8, 0 * losses, losses)
