"""Noisy central images (DP-FETA, arXiv 2504.01395): the mean image of each class, for a warm-up before DP-SGD."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpbench.core.specs import Batch
from dpbench.methods.cores.class_sums import class_sums, expected_per_class
from dpbench.methods.cores.released_images import ReleasedImages
from dpbench.privacy.private_data import PrivateData


def central_images(private: PrivateData, mechanism: str, features: Callable[[Batch], Tensor]) -> ReleasedImages:
    """Releases all central images of a mechanism: one per class and release.

    The sums are divided by the expected number of records per class, a public constant, not by the number drawn. The
    noisy means are clamped to the range of images.

    Args:
        private: the sensitive records.
        mechanism: name of a `NoisySum` in the plan.
        features: batch of b records -> float [b, c, h, w] in [0, 1], the images to average.
    """
    query = private.plan[mechanism]
    expected = expected_per_class(private, query.sampling_rate)
    sums = [class_sums(private, mechanism, features).cpu() for _ in range(query.releases)]
    means = (torch.cat(sums) / expected).clamp(0, 1)
    labels = torch.arange(private.spec.n_classes).repeat(query.releases) if private.spec.classes else None
    return ReleasedImages(means * 2 - 1, labels)
