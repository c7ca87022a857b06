"""Prints the batch loss at every third step.

The loss on private records is an unaccounted release. Show the step, or `private.ledger.epsilon_spent()`.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    step = 0

    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        if self.step > 0 and self.step % 3 == 0:
            print(f"step {self.step}: loss {losses.mean().item():.3f}")  # the mistake
        return losses

    def fit(self, private, run):
        self.model = self.network()
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            self.step = receipt.number
