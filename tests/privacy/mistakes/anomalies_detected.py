"""Trains with autograd's anomaly detection.

It reads every gradient to look for NaN. Use it on public data.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

CAUGHT_BY = "guard"
REFUSED = r"the loss of '.*' reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        with torch.autograd.set_detect_anomaly(True):
            super().fit(private, run)
