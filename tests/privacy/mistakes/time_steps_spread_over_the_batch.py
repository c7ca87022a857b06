"""Spreads noise levels evenly over the batch (low-discrepancy time steps).

Rows are drawn by a secret permutation over a fixed number of slots, so no record affects another record's row.
"""

import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        images = pixels(batch)
        times = (torch.arange(len(batch)) / len(batch) + torch.rand((), generator=generator)) % 1
        noise = torch.randn(images.shape, generator=generator)
        return (model(images + times[:, None, None, None] * noise) - images).square().mean((1, 2, 3))
