"""Starts a finished trial again.

Finished trials are skipped, and a second process waits for the first (a lock on the trial's folder).
"""

from record import recorded
from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "lock"
MARKED = {"accounting": "verified"}


@METHODS.register("mistake")
class Mistake(MeanImage):
    """The mistake is on the command line."""


def attempt(run):
    run()
    rows = run()
    assert len(recorded()) == 1
    return rows
