"""Trains with dropout.

Each row has its own random draws, and the vault seeds them with a secret.
"""

from small_methods import Denoiser
from torch import nn

from dpbench import METHODS

ALLOWED = True


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Dropout(0.2), nn.Conv2d(4, 1, 3, padding=1))
