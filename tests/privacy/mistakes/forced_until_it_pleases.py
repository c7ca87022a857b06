"""Runs a trial again with `--force` until the samples look good.

Every forced run is counted in the dataset's privacy record, which the leaderboard shows next to the row.
"""

from record import recorded
from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "row"
MARKED = {"accounting": "verified"}


@METHODS.register("mistake")
class Mistake(MeanImage):
    """The mistake is on the command line."""


def attempt(run):
    run()
    run(force=True)
    rows = run(force=True)
    assert [entry["epsilon"] for entry in recorded()] == [1.0] * 3
    return rows
