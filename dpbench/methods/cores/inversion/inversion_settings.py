"""Settings of textual inversion and of the public generator that is prompted, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dpbench.core.config import option, values_of
from dpbench.core.specs import DatasetSpec
from dpbench.methods.cores.diffusion.diffusion_settings import DiffusionSettings
from dpbench.methods.cores.public_training import PublicTraining
from dpbench.privacy.mechanisms.mechanism import NoisySum

EMBEDDINGS = "embeddings"
"""Name of the mechanism that releases the sums."""


@dataclass(frozen=True)
class InversionConfig(PublicTraining, DiffusionSettings):
    """Settings of the inversion, the public generator and its sampler."""

    checkpoint: str = option(
        "", "folder or hub repository of a diffusers pipeline with cross-attention, instead of training a generator"
    )
    condition: int = option(16, "size of a condition vector; a checkpoint has its own size", low=2)
    inversion_steps: int = option(40, "optimisation steps for the condition of each record", low=1)
    inversion_lr: float = option(0.1, "learning rate of the inversion (Adam), for vectors of norm 1", above=0, high=10)
    inversion_batch: int = option(64, "records whose conditions are optimised together", low=1)
    label_dropout: float = option(
        0.1, "probability of training without a condition; must be positive for guidance", low=0, below=1
    )

    def mechanism(self) -> NoisySum:
        """The only release: a sum of vectors of norm 1, one per record."""
        return NoisySum(name=EMBEDDINGS, clip=1.0)

    def check_sizes(self, spec: DatasetSpec) -> None:
        """Checks that a newly trained network suits the images.

        Raises:
            ConfigError: it does not fit the resolution.
        """
        if not self.checkpoint:
            self.unet.check_divides(spec.resolution)

    def public_settings(self) -> dict[str, Any]:
        """The settings that a newly trained generator depends on."""
        return {**self.model_settings(), **values_of(self, PublicTraining), "condition": self.condition}
