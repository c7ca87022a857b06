"""Settings of methods that release a mean embedding per class and train a generator to match it."""

from __future__ import annotations

from dataclasses import dataclass

from dpbench.core.config import option
from dpbench.models.generator_config import GeneratorConfig


@dataclass(frozen=True)
class MatchingConfig:
    """Settings of the release and of the generator."""

    count_weight: float = option(0.1, "weight of the class count, released together with the features", above=0)
    steps: int = option(1500, "training steps of the generator", low=1)
    batch: int = option(200, "generated images per step", low=1)
    lr: float = option(0.01, "peak learning rate of Adam", above=0, high=10)
    code: int = option(10, "dimension of the generator's latent code", low=1)
    width: int = option(16, "channels of the generator's convolutions", low=1)

    @property
    def generator(self) -> GeneratorConfig:
        """Sizes of the generator."""
        return GeneratorConfig(self.code, self.width)
