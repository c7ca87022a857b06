"""Gives a critic the standard deviation of the batch as a feature, against mode collapse.

Use the standard deviation of generated images only.
"""

import torch
from small_methods import Denoiser, pixels
from torch import nn

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "the loss of 'steps' mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        return nn.Conv2d(2, 1, 3, padding=1)

    def loss(self, model, batch, generator):
        images = pixels(batch)
        spread = images.std(0).mean().expand_as(images)
        return model(torch.cat([images, spread], 1)).mean((1, 2, 3))
