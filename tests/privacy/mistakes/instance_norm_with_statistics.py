"""Trains a network with instance normalisation that tracks running statistics.

Leave `track_running_stats` out.
"""

from small_methods import Denoiser
from torch import nn

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = r"layer '1' \(InstanceNorm2d\) mixes records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        norm = nn.InstanceNorm2d(4, track_running_stats=True)
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), norm, nn.Conv2d(4, 1, 3, padding=1))
