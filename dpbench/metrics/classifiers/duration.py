"""How long the training of classifiers takes on a device, extrapolated from a few images."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch.nn import functional as F

from dpbench.core.specs import DatasetSpec
from dpbench.metrics.classifiers.base import Make, build_classifier
from dpbench.metrics.classifiers.recipe import Recipe

PROBED = 2
"""Images of a timed step on a CPU, where time is proportional to their number. Other devices time whole batches."""


def expected_seconds(
    classifiers: Mapping[str, Make], how: Recipe, spec: DatasetSpec, images: int, device: str
) -> float:
    """The time to train all classifiers, from one step of each after a warm-up step.

    Args:
        classifiers: name -> function that builds it.
        how: the training recipe of each classifier.
        spec: shape of the images and number of classes.
        images: number of training images.
        device: name of the device.
    """
    batch = PROBED if torch.device(device).type == "cpu" else how.batch
    seconds = 0.0
    for make in classifiers.values():
        model = build_classifier(make, spec, torch.Generator().manual_seed(0)).to(device).train()
        pixels, labels = (
            torch.zeros(batch, *spec.shape, device=device),
            torch.zeros(batch, dtype=torch.int64, device=device),
        )
        for _ in range(2):
            start = time.perf_counter()
            loss = F.cross_entropy(model(pixels), labels)
            loss.backward()
            loss.item()  # waits for the device
            took = time.perf_counter() - start
        seconds += took * how.batch / batch * how.steps(images) * how.runs
    return seconds
