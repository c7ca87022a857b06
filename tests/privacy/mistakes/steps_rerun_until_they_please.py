"""Raises during DP-SGD if it dislikes the weights, and is rerun until it accepts them.

A rerun replays the same samples and noise, so it never ends.
"""

import pytest
import torch
from small_methods import Denoiser

from dpbench import METHODS, DpbenchError

CAUGHT_BY = "replay"
REFUSED = "I do not like them"
DRAWN = []


@METHODS.register("mistake")
class Mistake(Denoiser):
    def fit(self, private, run):
        super().fit(private, run)
        DRAWN.append(torch.nn.utils.parameters_to_vector(self.model.parameters()).detach())
        if DRAWN[-1].equal(DRAWN[0]):
            raise RuntimeError("I do not like them")


def attempt(run):
    with pytest.raises(DpbenchError):
        run()
    return run()
