"""Keeps a batch for a preview at every third step.

Preview samples from fixed noise.
"""

from small_methods import Denoiser, to_images

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "keeps a tensor that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    step = 0

    def loss(self, model, batch, generator):
        if self.step > 0 and self.step % 3 == 0:
            self.preview = batch.images / 127.5 - 1  # the mistake
        return super().loss(model, batch, generator)

    def fit(self, private, run):
        self.model = self.network()
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            self.step = receipt.number

    def sample(self, conditions, run):
        start = self.preview[[i % len(self.preview) for i in range(conditions.count)]]
        return to_images(self.model(start))
