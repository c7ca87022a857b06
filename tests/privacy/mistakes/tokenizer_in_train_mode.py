"""Leaves its tokenizer in train mode while it derives tokens, so that batch statistics change.

Call `tokenizer.eval()` before `derive`.
"""

import torch
from small_methods import MeanImage, pixels
from torch import nn

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = "derive writes into a tensor that is older than the call"


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        tokenizer = nn.Sequential(nn.Conv2d(1, 4, 4, 4), nn.BatchNorm2d(4), nn.Flatten())
        tokens = private.derive(lambda batch: tokenizer(pixels(batch)))  # the mistake
        self.mean = tokens.noisy_sum("sum", lambda batch: batch.derived[:, :1, None]).cpu()
        self.mean = torch.zeros(self.spec.shape) + self.mean.mean() / self.spec.n_train
