"""Requests reproducible noise, so that results can be repeated.

Reproducible noise gives no protection. It is for tests: the row says `noise = reproducible`.
"""

from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "row"
MARKED = {"noise": "reproducible"}


@METHODS.register("mistake")
class Mistake(MeanImage):
    """The mistake is on the command line."""


def attempt(run):
    return run(noise_seed=0)
