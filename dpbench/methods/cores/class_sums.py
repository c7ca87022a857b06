"""Noisy sums per class: the `NoisySum` of one-hot label × features."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpbench.core.specs import Batch
from dpbench.privacy.private_data import PrivateData


def class_sums(private: PrivateData, mechanism: str, features: Callable[[Batch], Tensor], chunk: int = 500) -> Tensor:
    """Releases the noisy sum of the features of each class once: [classes, ...], or one row for data without classes.

    Sensitivity: a record contributes its features in the row of its class and 0 elsewhere, so the norm of its
    contribution is the norm of its features, which the mechanism clips. The number of records in a class is private:
    divide the sums by `expected_per_class`, or release a count as one of the features.

    Args:
        private: the sensitive records.
        mechanism: name of a `NoisySum` in the plan.
        features: batch of b records -> [b, ...]; each record's features depend on that record only.
        chunk: records per call of `features`.
    """
    classes = max(1, private.spec.n_classes)
    return private.noisy_sum(mechanism, lambda batch: in_class_row(features(batch), batch.class_rows, classes), chunk)


def in_class_row(features: Tensor, rows: Tensor, classes: int) -> Tensor:
    """Places each record's features in the row of its class.

    Args:
        features: [b, ...].
        rows: int64 [b].
        classes: number of rows.

    Returns:
        sparse [b, classes, ...].
    """
    b, device = len(features), features.device
    place = torch.stack([torch.arange(b, device=device), rows.to(device)])
    size = (b, classes, *features.shape[1:])
    return torch.sparse_coo_tensor(place, features, size, is_coalesced=True, check_invariants=False)


def expected_per_class(private: PrivateData, rate: float = 1.0) -> float:
    """Expected number of records per class in a Poisson sample with this rate, for equal classes: a public constant."""
    return rate * private.spec.n_train / max(1, private.spec.n_classes)
