"""Settings of pretraining on public images."""

from __future__ import annotations

from dataclasses import dataclass

from dpbench.core.config import option
from dpbench.training.augmentation import Augmentation


@dataclass(frozen=True)
class PublicTraining:
    """Settings of pretraining on public images."""

    public_steps: int = option(1500, "public pretraining steps", low=1)
    public_batch: int = option(128, "public images per pretraining step", low=1)
    public_lr: float = option(1e-3, "peak learning rate of public pretraining (Adam)", above=0, high=10)
    augmentation: Augmentation = option("flip", "augmentation of public images")
