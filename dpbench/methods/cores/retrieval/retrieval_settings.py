"""Settings of a retrieval-conditioned diffusion model and of its private queries, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dpbench.core.config import option, values_of
from dpbench.core.errors import ConfigError
from dpbench.core.specs import DatasetSpec
from dpbench.methods.cores.diffusion.diffusion_settings import DiffusionSettings
from dpbench.methods.cores.public_training import PublicTraining
from dpbench.privacy.mechanisms.nearest_mean import NearestMean

RETRIEVAL = "retrieval"
"""Name of the mechanism that answers the queries."""

LARGEST_SIDE = 16
"""Height and width to which larger images are reduced before they are embedded."""


@dataclass(frozen=True)
class RetrievalConfig(PublicTraining, DiffusionSettings):
    """Settings of retrieval, the diffusion model and its sampler."""

    queries: int = option(50, "private queries per class; each has its own Poisson sample", low=1)
    rate: float = option(0.02, "sampling rate of a query", above=0, high=1)
    neighbours: int = option(40, "k: nearest private records that a query averages", low=1)
    clip: float = option(1.0, "bound on an embedding's norm; the root mean square norm of public images is 1", above=0)
    private_weight: float = option(
        1.0, "λ: weight of the noisy private mean; the mean of public neighbours gets the rest", low=0, high=1
    )
    shrink: bool = option(
        True, "shrink noisy means towards the average of their class, as far as the noise suggests; not published"
    )
    components: int = option(24, "size of an embedding: principal components of public images", low=1)
    public_neighbours: int = option(4, "public neighbours averaged in training", low=1)
    condition_noise: float = option(0.05, "largest standard deviation of the noise on the mean in training", low=0)
    pool: int = option(20_000, "augmented public images used for training and as queries", low=2)
    guidance: float = option(2.0, "weight of classifier-free guidance; 1 disables it", low=0)
    label_dropout: float = option(
        0.1, "probability of training without a mean; must be positive for guidance", low=0, below=1
    )

    def mechanism(self, spec: DatasetSpec) -> NearestMean:
        """The queries, with noise to be calibrated.

        Raises:
            ConfigError: samples have fewer records of a class than a query averages, so most would be missing.
        """
        expected = self.rate * spec.n_train / max(1, spec.n_classes)
        if expected < self.neighbours:
            raise ConfigError(
                f"a query averages {self.neighbours} records of a class, but its sample has about {expected:.3g}; "
                "set fewer neighbours or a higher rate"
            )
        return NearestMean(
            name=RETRIEVAL, clip=self.clip, rate=self.rate, count=self.queries, neighbours=self.neighbours
        )

    def check_sizes(self, spec: DatasetSpec) -> None:
        """Checks that the network and the embedding suit the images.

        Raises:
            ConfigError: the network does not fit the resolution, or there are more components than pixels, or more
                public neighbours than public images.
        """
        self.unet.check_divides(spec.resolution)
        if self.components > feature_count(spec.shape):
            raise ConfigError(f"images of {spec.resolution} pixels have at most {feature_count(spec.shape)} components")
        if self.public_neighbours >= self.pool:
            raise ConfigError(f"a pool of {self.pool} images cannot give any image {self.public_neighbours} neighbours")

    def public_settings(self) -> dict[str, Any]:
        """The settings that the public part depends on."""
        names = ("components", "clip", "public_neighbours", "condition_noise", "pool")
        own = {name: getattr(self, name) for name in names}
        return {**self.model_settings(), **values_of(self, PublicTraining), **own}


def feature_count(shape: tuple[int, int, int]) -> int:
    """Number of values in a reduced image of this shape (channels, height, width)."""
    return shape[0] * min(LARGEST_SIDE, shape[1]) ** 2
