"""Starts from different weights when it is resumed after an interruption.

Draw initial weights from `run.generator` or torch's global one, which are seeded.
"""

import os

import pytest
import torch
from small_methods import Denoiser

from dpbench import METHODS, DpbenchError

CAUGHT_BY = "replay"
REFUSED = "step 1 of 'steps' starts from other values than in the interrupted attempt"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        torch.manual_seed(int.from_bytes(os.urandom(4), "big"))
        super().fit(private, run)
        raise RuntimeError("interrupted")


def attempt(run):
    with pytest.raises(DpbenchError, match="interrupted"):
        run()
    return run()
