"""Mixes records after a warm-up.

Mix with public images, or use views of one record.
"""

from small_methods import Denoiser, pixels

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = "the loss of 'steps' mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    step = 0

    def loss(self, model, batch, generator):
        images = pixels(batch)
        if self.step >= 3:
            images = 0.8 * images + 0.2 * images.roll(1, 0)
        return (model(images) - images).square().mean((1, 2, 3))

    def fit(self, private, run):
        self.model = self.network()
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            self.step = receipt.number
