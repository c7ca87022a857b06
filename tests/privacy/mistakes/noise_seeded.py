"""Asks for reproducible noise, so that results can be made again.

Noise that anybody can draw again hides nothing. It is for tests: the row says `noise = reproducible`.
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
