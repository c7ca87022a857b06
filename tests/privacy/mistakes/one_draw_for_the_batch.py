"""Draws one noise image for the whole batch.

The noise depends on no record, and rows are assigned by a secret permutation over a fixed number of slots.
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
