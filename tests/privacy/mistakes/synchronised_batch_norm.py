"""Trains a network with batch normalisation over several GPUs.

Use GroupNorm or LayerNorm.
"""

from small_methods import Denoiser
from torch import nn

from dpbench import METHODS

CAUGHT_BY = "probe"
REFUSED = r"layer '1' \(SyncBatchNorm\) mixes records; use GroupNorm or LayerNorm"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def network(self):
        model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 3, padding=1))
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
