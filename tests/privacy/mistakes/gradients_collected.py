"""Sums gradients of activations in a backward hook, to prune the least used channels.

Prune by the weights, or by gradients of public images. `p.grad` holds noisy gradients after a step's release.
"""

import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "writes into a tensor that is older than the call"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        images = pixels(batch)
        hidden = model[0](images + torch.randn(images.shape, generator=generator))
        hidden.register_hook(self.collect)
        return (model[2](model[1](hidden)) - images).square().mean((1, 2, 3))

    def collect(self, gradient):
        self.used += gradient.abs().sum((0, 2, 3))  # the mistake

    def fit(self, private, run):
        self.used = torch.zeros(4)
        super().fit(private, run)
        with torch.no_grad():
            self.model[0].weight[self.used.argmin()] = 0
