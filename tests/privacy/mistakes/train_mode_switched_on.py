"""Puts a frozen batch normalisation back into train mode between two steps.

Keep it in eval mode by overriding the layer's `train`, or use GroupNorm.
"""

from small_methods import Denoiser
from torch import nn

from dpbench import METHODS

CAUGHT_BY = "vault"
REFUSED = r"layer '1' \(BatchNorm2d\) mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        norm = nn.BatchNorm2d(4, affine=False).eval()
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), norm, nn.Conv2d(4, 1, 3, padding=1))

    def fit(self, private, run):
        self.model = self.network()
        for receipt in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            if receipt.number == 3:
                self.model.eval()
                run.progress.phase("a look at samples", 1)
                self.model.train()
