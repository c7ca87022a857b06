"""Settings of a classifier that is trained on a labelled public source, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dpbench.core.config import option


@dataclass(frozen=True)
class ClassifierTraining:
    """The public classifier and its training."""

    classifier: Literal["small", "resnet50"] = option("small", "network of the public classifier")
    classifier_steps: int = option(1000, "training steps of the public classifier", low=1)
    classifier_batch: int = option(128, "public images per step of the classifier", low=1)
    classifier_lr: float = option(0.05, "peak learning rate of the classifier (SGD)", above=0, high=10)
