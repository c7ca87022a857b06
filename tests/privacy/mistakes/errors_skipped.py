"""Catches errors around a step and continues with the next one.

Fix the error. A failed step has already drawn its sample, and its failure may depend on records.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = "the vault is closed: step 4 of 'steps' failed"


@METHODS.register("mistake")
class Mistake(Denoiser):
    failures = 0
    step = 1

    def loss(self, model, batch, generator):
        if self.step == 4 and self.failures < 14:
            raise RuntimeError("out of memory")
        return super().loss(model, batch, generator)

    def fit(self, private, run):
        self.model = self.network()
        steps = private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator)
        while self.step <= 6:
            try:
                next(steps)
            except RuntimeError:
                self.failures += 1
                continue
            self.step += 1
