"""Trains on the quarter of the batch with the largest losses.

Weight each record by its own loss, such as `losses * losses.detach().clamp(max=1)`.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the loss of 'steps' mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        hardest = losses.topk(len(losses) // 4).values[-1]
        return torch.where(losses >= hardest, losses, 0 * losses)
