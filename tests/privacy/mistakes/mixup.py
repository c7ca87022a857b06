"""Mixes images of the batch with each other (mixup).

Mix with public images, or use views of one record.
"""

import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the loss of 'steps' mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        images = pixels(batch)
        images = 0.8 * images + 0.2 * images[torch.randperm(len(images), generator=generator)]
        return (model(images) - images).square().mean((1, 2, 3))
