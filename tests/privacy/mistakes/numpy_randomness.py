"""Draws noise in the loss from numpy's global generator.

Draw from the generator that the loss is given, or from torch's global one: a step can then be replayed.
"""

import numpy as np
import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = "gives different values for the same records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        images = pixels(batch)
        noise = torch.from_numpy(np.random.normal(size=images.shape)).float()  # noqa: NPY002
        return (model(images + noise) - images).square().mean((1, 2, 3))
