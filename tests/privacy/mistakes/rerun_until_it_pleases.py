"""Raises in `fit` if it dislikes the noise, and is rerun until it accepts it.

A rerun replays the same samples and noise, so it never ends.
"""

import pytest
from small_methods import MeanImage

from dpbench import METHODS, DpbenchError

CAUGHT_BY = "replay"
REFUSED = "I do not like it"
DRAWN = []


@METHODS.register("mistake")
class Mistake(MeanImage):
    def fit(self, private, run):
        super().fit(private, run)
        DRAWN.append(self.mean.clone())
        if DRAWN[-1].equal(DRAWN[0]):
            raise RuntimeError("I do not like it")


def attempt(run):
    with pytest.raises(DpbenchError):
        run()
    with pytest.raises(DpbenchError):
        run()
    return run()
