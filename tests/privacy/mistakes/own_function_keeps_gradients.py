"""Keeps gradients of activations in a custom autograd function, to scale the next step.

Scale by a constant; `p.grad` holds noisy gradients after a step's release.
"""

import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "keeps a tensor that depends on records"


class Watched(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, method):
        ctx.method = method
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.method.size = gradient.abs().mean()  # the mistake
        return gradient, None


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        images = pixels(batch)
        hidden = Watched.apply(model[0](images + torch.randn(images.shape, generator=generator)), self)
        return (model[2](model[1](hidden)) - images).square().mean((1, 2, 3))
