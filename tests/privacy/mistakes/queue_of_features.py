"""Keeps a queue of features of earlier records as negatives, as MoCo does.

Use public images as negatives.
"""

import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "keeps a tensor that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    queue = torch.zeros(32, 256)

    def loss(self, model, batch, generator):
        features = model(pixels(batch)).flatten(1)
        positives, negatives = features.square().sum(1), features @ self.queue.T
        self.queue = torch.cat([self.queue, features.detach()])[-32:]  # the mistake
        return negatives.logsumexp(1) - positives
