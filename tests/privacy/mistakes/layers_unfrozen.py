"""Unfreezes a layer between two steps.

Call `dp_sgd` again after the change, with a mechanism of the plan for each stage.
"""

from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = "the model's trainable parameters changed after dp_sgd was called"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        model = super().network()
        model[0].requires_grad_(False)
        return model

    def fit(self, private, run):
        self.model = self.network()
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            if receipt.number == 3:
                self.model.requires_grad_(True)
