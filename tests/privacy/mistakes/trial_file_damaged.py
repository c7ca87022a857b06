"""Continues although trial.json is damaged, which would train again on private data.

Restore the file, or move the trial's folder away: the trial then runs again, as another private run.
"""

from small_methods import MeanImage

from dpbench import METHODS

CAUGHT_BY = "row"
REFUSED = r"trial\.json"


@METHODS.register("mistake")
class Mistake(MeanImage):
    """The mistake is in the results."""


def attempt(run):
    run()
    for path in run.keywords["out"].rglob("trial.json"):
        path.write_text(path.read_text()[:100])
    return run()
