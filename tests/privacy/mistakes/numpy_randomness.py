"""Draws noise in the loss from numpy's global generator.

Draw from the generator passed to the loss, or from torch's global generator, so that a step can be replayed.
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
