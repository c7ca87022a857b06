"""Draws one noise image for the whole batch.

It depends on no record. Records meet it in slots of a fixed number.
"""

import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        images = pixels(batch)
        noise = torch.randn(self.spec.shape, generator=generator)
        return (model(images + noise) - images).square().mean((1, 2, 3))
