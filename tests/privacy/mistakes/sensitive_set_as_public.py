"""Uses the sensitive dataset as the public source.

A dataset is never both in one trial: choose another `--public`. A copy of its files elsewhere is not recognised.
"""

from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "seal"
REFUSED = "public"


@METHODS.register("mistake")
class Mistake(MeanImage):
    track = "images"


def attempt(run):
    return run(public="tiny")
