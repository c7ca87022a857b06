"""Updates a buffer from private batches after a warm-up.

Buffers may hold public values and results of `noisy_sum`.
"""

import torch
from small_methods import Denoiser, pixels

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = "changes 'level'"


@METHODS.register("mistake")
class Mistake(Denoiser):
    step = 0

    def network(self):
        model = super().network()
        model.register_buffer("level", torch.zeros(()))
        return model

    def loss(self, model, batch, generator):
        if self.step >= 3:
            model.level.lerp_(pixels(batch).mean(), 0.1)  # the mistake
        return super().loss(model, batch, generator)

    def fit(self, private, run):
        self.model = self.network()
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            self.step = receipt.number
