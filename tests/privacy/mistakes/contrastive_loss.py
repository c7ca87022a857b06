"""Trains with a contrastive loss whose negatives are the other records of the batch.

Use public images as negatives.
"""

import torch
from small_methods import Denoiser, pixels
from torch.nn.functional import cross_entropy, normalize

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the loss of 'steps' mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        images = pixels(batch)
        noisy = images + torch.randn(images.shape, generator=generator)
        a, b = (normalize(model(x).flatten(1)) for x in (images, noisy))
        return cross_entropy(a @ b.T / 0.1, torch.arange(len(batch)), reduction="none")
