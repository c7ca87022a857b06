"""Sums a record's views.

Return one loss per view; the vault averages a record's views before it clips.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = r"must give one value per row"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        return super().loss(model, batch, generator).reshape(-1, 2).mean(1)

    def fit(self, private, run):
        self.model = self.network()
        for _ in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator, views=2):
            pass
