"""Settings of methods that release mean embeddings per class and train a generator to match them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dpbench.core.config import option
from dpbench.core.errors import ConfigError
from dpbench.models.generator_config import GeneratorConfig
from dpbench.privacy.mechanisms.mechanism import NoisySum

if TYPE_CHECKING:
    from dpbench.methods.cores.matching.fourier_features import FourierFeatures

EMBEDDING = "mean embedding"
"""Name of the mechanism."""


@dataclass(frozen=True)
class MatchingConfig:
    """Settings of the releases and of the generator."""

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

    def embedding_query(self, noise_multiplier: float | None = None) -> NoisySum:
        """One release of the features and counts of all records; its noise is calibrated unless given.

        Sensitivity: a record contributes features of norm 1 at most, and a count of `count_weight`.
        """
        return NoisySum(name=EMBEDDING, clip=(1 + self.count_weight**2) ** 0.5, noise_multiplier=noise_multiplier)


@dataclass(frozen=True)
class FourierSettings:
    """Settings of the random Fourier features of images."""

    features: int = option(4000, "number of random Fourier features, cosines and sines together", low=2)
    bandwidths: tuple[float, ...] = option(
        (0.1,), "kernel variance σ² per pixel in [0, 1], one per scale of the features; 0.1 · 32² is about 102", above=0
    )
    seed: int = option(0, "seed of the random features (public)", low=0)
    loss: Literal["unbiased", "squared"] = option(
        "unbiased",
        "unbiased: an MMD without the pairs of an image with itself; squared: with them, as DP-MERF's authors' loss",
    )

    def __post_init__(self) -> None:
        if not 0 < 2 * len(self.bandwidths) <= self.features:
            raise ConfigError(
                f"{self.features} features for {len(self.bandwidths)} bandwidths: give at least one bandwidth, and two "
                "features for each"
            )

    def fourier_features(self, pixels: int, device: str) -> FourierFeatures:
        """The features of images with this many values, with their loss."""
        from dpbench.methods.cores.matching.fourier_features import LOSSES

        return LOSSES[self.loss](pixels, self.features, self.bandwidths, self.seed, device)
