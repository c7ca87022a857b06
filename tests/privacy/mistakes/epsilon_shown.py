"""Shows the ε spent so far next to the progress bar.

ε depends on the plan and the receipts, not on records.
"""

from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        self.model = self.network()
        with run.progress.phase("fit", 6) as advance:
            for _ in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
                advance(1, f"ε {private.ledger.epsilon_spent():.2f}")
