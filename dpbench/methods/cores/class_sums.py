"""One sum per class: the `NoisySum` of one-hot label × features, to which a record contributes in its class's row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpbench.core.specs import Batch
from dpbench.privacy.private_data import PrivateData


def class_sums(private: PrivateData, mechanism: str, features: Callable[[Batch], Tensor]) -> Tensor:
    """One release of the noisy sum of features of each class, [classes, ...]; one row without classes.

    Sensitivity: a record's contribution is its features in one row and 0 elsewhere, so its norm is that of the
    features, which the mechanism's clip bounds. The number of records of a class is private: divide the sums by
    `expected_per_class`, or release a count as one of the features.

    Args:
        private: the sensitive records.
        mechanism: name of a `NoisySum` in the plan.
        features: batch of b records -> [b, ...], each record's from itself alone.
    """
    classes = max(1, private.spec.n_classes)
    return private.noisy_sum(mechanism, lambda batch: in_class_row(features(batch), batch.labels, classes))


def in_class_row(features: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """[b, ...] -> sparse [b, classes, ...]: the features of a record in its class's row, or in row 0 without labels."""
    b, device = len(features), features.device
    rows = torch.zeros(b, dtype=torch.long) if labels is None else labels
    place = torch.stack([torch.arange(b, device=device), rows.to(device)])
    size = (b, classes, *features.shape[1:])
    return torch.sparse_coo_tensor(place, features, size, is_coalesced=True, check_invariants=False)


def expected_per_class(private: PrivateData, rate: float = 1.0) -> float:
    """How many records of a class a Poisson sample of this rate has if classes are even: a public constant."""
    return rate * private.spec.n_train / max(1, private.spec.n_classes)
