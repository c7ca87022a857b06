"""Updates class means, a tensor outside the model, at every third step.

Release them by a `noisy_sum`, or compute them from public images.
"""

import torch
from small_methods import Denoiser, pixels
from torch.nn.functional import one_hot

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "writes into a tensor that is older than the call"


@METHODS.register("mistake")
class Mistake(Denoiser):
    step = 0

    def loss(self, model, batch, generator):
        if self.step > 0 and self.step % 3 == 0:
            sums = one_hot(batch.labels, 2).float().T @ pixels(batch).flatten(1)
            self.means.lerp_(sums / len(batch), 0.1)  # the mistake
        return super().loss(model, batch, generator)

    def fit(self, private, run):
        self.model, self.means = self.network(), torch.zeros(2, self.spec.resolution**2)
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            self.step = receipt.number
