"""Fine-tunes its network on private records in `sample`.

Train in `fit`, with a mechanism of the plan; in `sample`, train on public and synthetic images only.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = "the vault is closed"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        self.private = private
        super().fit(private, run)

    def sample(self, conditions, run):
        next(self.private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator))
        return super().sample(conditions, run)
