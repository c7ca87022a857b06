"""Trains under autograd's anomaly detection.

Its errors name operations, not values; an error behind the vault ends the trial.
"""

import torch
from small_methods import Denoiser

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        with torch.autograd.set_detect_anomaly(True):
            super().fit(private, run)
