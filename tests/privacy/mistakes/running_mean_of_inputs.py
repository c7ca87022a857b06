"""Tracks the mean of the images during training, to normalise by it.

Normalise by constants, or by a noisy mean that the plan pays for.
"""

import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "keeps a tensor that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    mean = torch.zeros(())

    def loss(self, model, batch, generator):
        self.mean = 0.9 * self.mean + 0.1 * pixels(batch).mean()  # the mistake
        return super().loss(model, batch, generator)
