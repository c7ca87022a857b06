"""Averages each record over several augmented views.

The vault makes the views and clips their mean: a record remains one contribution.
"""

from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        self.model = self.network()
        for _ in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator, views=2):
            pass
