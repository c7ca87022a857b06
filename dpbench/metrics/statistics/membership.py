"""A distance-based membership attack: a record close to a synthetic image is classified as a member of train.

The black-box attack on generators of Chen et al. (GAN-Leaks, arXiv 1909.03935) and Hilprecht et al. (PoPETs 2019), with
the distance to the nearest synthetic image as the score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpbench.core.metric import Estimate
from dpbench.evaluation.stratified import Indices
from dpbench.metrics.statistics.two_samples import difference

Distances = NDArray[np.floating[Any]]


def advantage(members: Distances, others: Distances, member_order: Indices, other_order: Indices) -> Estimate:
    """True minus false positive rate of the attack "member if the distance is at most t", in [-1, 1]; 0 is chance.

    t is the best threshold on one half of the records, and the rates are measured on the other half; the roles are then
    swapped and the two results averaged. The threshold is therefore never chosen on the records it is evaluated on: at
    chance, the expectation is 0, and negative values are as likely as positive ones.

    Args:
        members: distance of each record of train to its nearest synthetic image, [n], n >= 2.
        others: the same for records that were not trained on, [m], m >= 2.
        member_order, other_order: random orders of the records, [n] and [m]; every second one is in the first half.
    """
    hits, alarms = np.zeros(len(members)), np.zeros(len(others))
    for first in (0, 1):
        seen, unseen = ((member_order[k::2], other_order[k::2]) for k in (first, 1 - first))
        t = _threshold(members[seen[0]], others[seen[1]])
        hits[unseen[0]], alarms[unseen[1]] = members[unseen[0]] <= t, others[unseen[1]] <= t
    return difference(hits, alarms)


def _threshold(members: Distances, others: Distances) -> np.floating[Any]:
    """The distance at which true minus false positive rate is largest."""
    candidates = np.sort(np.concatenate([members, others]))
    hits, alarms = (np.searchsorted(np.sort(x), candidates, "right") / len(x) for x in (members, others))
    return candidates[(hits - alarms).argmax()]
