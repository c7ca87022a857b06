"""Uses the sensitive dataset as the public source.

A dataset is never both in one trial: choose another `--public`. Exact copies of its images are refused as well.
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
