"""Prints the batch loss next to the progress bar.

The loss on private records is an unaccounted release. Show the step, or `private.ledger.epsilon_spent()`.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        losses = super().loss(model, batch, generator)
        self.note = f"loss {losses.mean().item():.3f}"  # the mistake
        return losses

    def fit(self, private, run):
        self.model = self.network()
        optimizer = self.optimizer()
        with run.progress.phase("fit", 6) as advance:
            for _ in private.dp_sgd("steps", self.model, self.loss, optimizer, run.generator):
                advance(1, self.note)
