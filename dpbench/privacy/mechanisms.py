"""The mechanisms of a plan. Sampler, clip, noise and accounting all read the same frozen object.

Formal guarantees. A record contributes one vector of L2 norm at most `clip` to a sum; neighbouring datasets differ by
one record replaced by nothing (its contribution becomes the zero vector; n is public). The L2 sensitivity of the sum
is therefore `clip`, and N(0, (noise_multiplier · clip)²) on every coordinate makes each release a Gaussian mechanism
with multiplier `noise_multiplier`, Poisson-subsampled at `sampling_rate` when that is below 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.privacy.events import GaussianEvent


@dataclass(frozen=True, kw_only=True)
class Mechanism(ABC):
    """A family of equal Gaussian releases.

    Attributes:
        name: by which `fit` asks for it; unique within a plan.
        clip: bound C on the L2 norm of one record's contribution.
        noise_multiplier: standard deviation of the noise divided by `clip`; None to calibrate it.
        ratio: a calibrated multiplier is `ratio` times the scale shared by all free mechanisms of the plan.
    """

    name: str
    clip: float
    noise_multiplier: float | None = None
    ratio: float = 1.0

    @property
    @abstractmethod
    def sampling_rate(self) -> float:
        """Probability that a record is sampled in one release, independently of the others."""

    @property
    @abstractmethod
    def releases(self) -> int:
        """Number of releases."""

    def event(self, releases: int | None = None) -> GaussianEvent:
        """The accounting event of `releases` (default: all) of it.

        Raises:
            PrivacyError: the noise multiplier is not calibrated yet.
        """
        if self.noise_multiplier is None:
            raise PrivacyError(f"{self.name} has no noise multiplier yet; calibrate the plan first")
        return GaussianEvent(self.noise_multiplier, self.sampling_rate, self.releases if releases is None else releases)

    def __post_init__(self) -> None:
        if not 0 < self.sampling_rate <= 1:
            raise ConfigError(f"{self.name}: the sampling rate must lie in (0, 1], not {self.sampling_rate:g}")
        if self.releases < 1:
            raise ConfigError(f"{self.name}: needs at least one release, not {self.releases}")
        for what, value in {"clip": self.clip, "ratio": self.ratio}.items():
            if not (0 < value < math.inf):
                raise ConfigError(f"{self.name}: {what} must be positive and finite, not {value}")
        if self.noise_multiplier is not None and not 0 <= self.noise_multiplier < math.inf:
            raise ConfigError(f"{self.name}: the noise multiplier must not be {self.noise_multiplier}")


@dataclass(frozen=True, kw_only=True)
class NoisySum(Mechanism):
    """`PrivateData.noisy_sum`: the sum of clipped per-record vectors, noised.

    A contribution of several tensors is one vector: concatenate them. Every release draws its own Poisson sample.

    Attributes:
        rate: sampling rate, in (0, 1].
        count: number of releases.
    """

    rate: float = 1.0
    count: int = 1

    @property
    def sampling_rate(self) -> float:
        """See `Mechanism`."""
        return self.rate

    @property
    def releases(self) -> int:
        """See `Mechanism`."""
        return self.count


@dataclass(frozen=True, kw_only=True)
class DPSGD(Mechanism):
    """`PrivateData.dp_sgd`: steps along noisy sums of clipped per-example gradients, divided by the expected batch.

    Attributes:
        n: number of records of the sensitive split (public).
        expected_batch: expected size of a Poisson batch; the sampling rate is `expected_batch / n`.
        steps: number of steps.
    """

    n: int
    expected_batch: int
    steps: int

    def __post_init__(self) -> None:
        if not 0 < self.expected_batch <= self.n:
            raise ConfigError(
                f"{self.name}: the dataset has {self.n} records, fewer than the expected batch of "
                f"{self.expected_batch}; set a smaller batch"
                if self.expected_batch > 0
                else f"{self.name}: the expected batch must be positive, not {self.expected_batch}"
            )
        super().__post_init__()

    @property
    def sampling_rate(self) -> float:
        """See `Mechanism`."""
        return self.expected_batch / self.n

    @property
    def releases(self) -> int:
        """See `Mechanism`."""
        return self.steps

    def refuse_other_data(self, n: int) -> None:
        """Checks the number of records against the one that the sampling rate is billed for.

        Raises:
            PrivacyError: they differ.
        """
        if self.n != n:
            raise PrivacyError(
                f"'{self.name}' is planned for {self.n} records, but the dataset has {n}: "
                "its sampling rate would not be the billed one"
            )
