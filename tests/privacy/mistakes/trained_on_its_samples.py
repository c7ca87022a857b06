"""Trains a second network on its own samples.

Samples are released, and post-processing them is free.
"""

import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS, Batch, Conditions

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        super().fit(private, run)
        images = pixels(Batch(super().sample(Conditions(32), run)))
        optimizer = self.optimizer()
        for _ in range(3):
            optimizer.zero_grad()
            (self.model(images) - images).square().mean().backward()
            optimizer.step()
        assert torch.isfinite(self.model[0].weight).all()
