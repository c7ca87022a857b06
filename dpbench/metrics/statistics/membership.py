"""A distance-based membership attack: a record close to a synthetic image is classified as a member of train.

The black-box attack on generators of Chen et al. (GAN-Leaks, arXiv 1909.03935) and Hilprecht et al. (PoPETs 2019), with
the distance to the nearest synthetic image as the score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dpbench.core.metric import Estimate
from dpbench.evaluation import intervals as bootstrap

if TYPE_CHECKING:
    import torch

Distances = NDArray[np.floating[Any]]


def advantage(members: Distances, others: Distances, generator: torch.Generator) -> Estimate:
    """True minus false positive rate of the attack "member if the distance is at most t", in [-1, 1]; 0 is chance.

    t is the best threshold on one half of the records (even or odd positions), and the rates are measured on the other
    half; the roles are then swapped and the two results averaged. The threshold is therefore never chosen on the
    records it is evaluated on: at chance the expectation is 0, and negative values are as likely as positive ones.

    Args:
        members: distance of each record of train to its nearest synthetic image, [n], n >= 2.
        others: the same for records that were not trained on, [n].
        generator: random generator of the bootstrap, which treats the thresholds as fixed.
    """
    gains = np.empty(len(members))
    for first in (0, 1):
        t = _threshold(members[first::2], others[first::2])
        gains[1 - first :: 2] = (members[1 - first :: 2] <= t) * 1.0 - (others[1 - first :: 2] <= t)
    return bootstrap.mean(gains, generator)


def auc(members: Distances, others: Distances, generator: torch.Generator) -> Estimate:
    """Area under the ROC curve: the probability that a member is closer than a non-member, ties counting half.

    0.5 is chance. It needs no threshold. The interval uses the placement values (DeLong et al., 1988).

    Args:
        members, others, generator: see `advantage`.
    """
    farther = 1 - _share_below(members, others)  # [n], for each member: the share of others that are farther away
    closer = _share_below(others, members)  # [n], for each other record: the share of members that are closer
    return bootstrap.around(float(farther.mean()), farther + closer, generator)


def _threshold(members: Distances, others: Distances) -> np.floating[Any]:
    """The distance at which true minus false positive rate is largest."""
    candidates = np.sort(np.concatenate([members, others]))
    hits, alarms = (np.searchsorted(np.sort(x), candidates, "right") / len(x) for x in (members, others))
    return candidates[(hits - alarms).argmax()]


def _share_below(x: Distances, y: Distances) -> NDArray[np.float64]:
    """For each x, the share of `y` below it, ties counting half."""
    y = np.sort(y)
    return (np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")) / (2 * len(y))
