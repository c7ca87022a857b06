"""Settings of methods that release a mean embedding per class and train a generator to match it."""

from __future__ import annotations

from dataclasses import dataclass

from dpbench.core.config import option
from dpbench.models.generator_config import GeneratorConfig


@dataclass(frozen=True)
class MatchingConfig:
    """Settings of the release and of the generator."""

    count_weight: float = option(0.1, "weight of the class count, released together with the features")
    steps: int = option(1500, "training steps of the generator")
    batch: int = option(200, "generated images per step")
    lr: float = option(0.01, "peak learning rate of Adam")
    code: int = option(10, "dimension of the generator's latent code")
    width: int = option(16, "channels of the generator's convolutions")

    @property
    def generator(self) -> GeneratorConfig:
        """Sizes of the generator."""
        return GeneratorConfig(self.code, self.width)
