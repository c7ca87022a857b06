"""The mechanisms of a plan. Sampler, clip, noise and accounting all read the same frozen object.

Formal guarantees. A record contributes one vector of L2 norm at most `clip` to a sum; neighbouring datasets differ by
one record replaced by nothing (its contribution becomes the zero vector; n is public). The L2 sensitivity of the sum
is therefore `clip`, and N(0, (noise_multiplier · clip)²) on every coordinate makes each release a Gaussian mechanism
with multiplier `noise_multiplier`, Poisson-subsampled at `sampling_rate` when that is below 1. For mechanisms with
other noise see `laplace` and `choices`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.privacy.accounting.events import Event, GaussianEvent


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Consecutive releases of a mechanism that differ from its others in sampling rate or noise.

    Attributes:
        releases: their number.
        rate: factor on the mechanism's sampling rate (for DP-SGD: on its expected batch).
        noise: factor on its noise multiplier.
    """

    releases: int
    rate: float = 1.0
    noise: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Mechanism(ABC):
    """A family of releases with one clip; they are equal unless a schedule says otherwise.

    Attributes:
        name: the name under which `fit` requests it; unique within a plan.
        clip: bound C on one record's contribution, in the L2 norm unless the class says otherwise.
        noise_multiplier: scale of the noise (the standard deviation if it is Gaussian) divided by `clip`; None to
            calibrate it.
        ratio: a calibrated multiplier is `ratio` times the scale shared by all free mechanisms of the plan.
        schedule: segments in order, which together hold all releases; empty for equal releases.
    """

    name: str
    clip: float
    noise_multiplier: float | None = None
    ratio: float = 1.0
    schedule: tuple[Segment, ...] = ()

    noise: ClassVar[Literal["gaussian", "laplace", "gumbel", "exponential"]] = "gaussian"
    event: ClassVar[type[Event]] = GaussianEvent

    @property
    @abstractmethod
    def sampling_rate(self) -> float:
        """Probability that a record is sampled in one release, independently of the others; see `rate_at`."""

    @property
    @abstractmethod
    def releases(self) -> int:
        """Number of releases."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The schedule, or one segment of equal releases."""
        return self.schedule or (Segment(releases=self.releases),)

    @property
    def gradients(self) -> float:
        """Expected number of per-example gradients that all releases need, with one view each; 0 for a query."""
        return 0.0

    def segment_at(self, number: int) -> Segment:
        """The segment of the release with this number, from 1."""
        for segment in self.segments:
            if number <= segment.releases:
                return segment
            number -= segment.releases
        raise PrivacyError(f"{self.name} has {self.releases} releases; no release has a higher number")

    def rate_at(self, number: int) -> float:
        """The sampling rate of a release."""
        return self.sampling_rate * self.segment_at(number).rate

    @property
    def largest_rate(self) -> float:
        """The largest sampling rate of a release."""
        return self.sampling_rate * max(s.rate for s in self.segments)

    @property
    def is_sampled(self) -> bool:
        """Whether any release is computed from a Poisson sample."""
        return any(self.sampling_rate * s.rate < 1 for s in self.segments)

    def noise_scale_at(self, number: int) -> float:
        """Scale of the noise that a release adds to a sum: its standard deviation if it is Gaussian."""
        return self._calibrated() * self.segment_at(number).noise * self.clip

    def events(self, releases: int | None = None) -> list[Event]:
        """The accounting events of the first `releases` (default: all), one for each pair of rate and noise.

        Raises:
            PrivacyError: the noise multiplier is not calibrated yet.
        """
        left, counts = self.releases if releases is None else releases, dict[tuple[float, float], int]()
        for s in self.segments:
            pair = self._calibrated() * s.noise, self.sampling_rate * s.rate
            counts[pair] = counts.get(pair, 0) + min(left, s.releases)
            left -= min(left, s.releases)
        return [self.event(noise, rate, count) for (noise, rate), count in counts.items() if count]

    def refuse_schedule(self, who: str) -> None:
        """Raises `ConfigError` if there is a schedule, on behalf of a caller that does not support one."""
        if self.schedule:
            raise ConfigError(f"{who} cannot deal with the schedule of '{self.name}'; plan equal releases")

    def _calibrated(self) -> float:
        if self.noise_multiplier is None:
            raise PrivacyError(f"{self.name} has no noise multiplier yet; calibrate the plan first")
        return self.noise_multiplier

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", tuple(self.schedule))
        if self.releases < 1:
            raise ConfigError(f"{self.name}: needs at least one release, not {self.releases}")
        if self.schedule and sum(s.releases for s in self.schedule) != self.releases:
            raise ConfigError(
                f"{self.name}: the schedule has {sum(s.releases for s in self.schedule)} releases, not {self.releases}"
            )
        for s in self.segments:
            rate = self.sampling_rate * s.rate
            if not 0 < rate <= 1:
                raise ConfigError(f"{self.name}: the sampling rate must lie in (0, 1], not {rate:g}")
            if not (s.releases >= 1 and 0 < s.noise < math.inf):
                raise ConfigError(f"{self.name}: a segment needs releases and a positive factor of the noise, not {s}")
        for what, value in {"clip": self.clip, "ratio": self.ratio}.items():
            if not (0 < value < math.inf):
                raise ConfigError(f"{self.name}: {what} must be positive and finite, not {value}")
        if self.noise_multiplier is not None and not 0 <= self.noise_multiplier < math.inf:
            raise ConfigError(f"{self.name}: the noise multiplier must not be {self.noise_multiplier}")


@dataclass(frozen=True, kw_only=True)
class Query(Mechanism):
    """Releases computed from a sum over all records, or over Poisson samples of them.

    Every release draws its own Poisson sample.

    Attributes:
        rate: sampling rate, in (0, 1].
        count: number of releases.
    """

    rate: float = 1.0
    count: int = 1

    @property
    def planned_shape(self) -> tuple[int, ...] | None:
        """Shape that a record's contribution must have; None for any."""
        return None

    @property
    def sampling_rate(self) -> float:
        """See `Mechanism`."""
        return self.rate

    @property
    def releases(self) -> int:
        """See `Mechanism`."""
        return self.count


@dataclass(frozen=True, kw_only=True)
class NoisySum(Query):
    """`PrivateData.noisy_sum`: the sum of clipped per-record vectors, with Gaussian noise.

    A contribution of several tensors is one vector: concatenate them.
    """


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

    @property
    def gradients(self) -> float:
        """See `Mechanism`: the sum of the expected batches."""
        return sum(self.expected_batch * s.rate * s.releases for s in self.segments)

    def expected_batch_at(self, number: int) -> float:
        """The expected batch of a step, by which its sum is divided."""
        return self.expected_batch * self.segment_at(number).rate

    def refuse_other_data(self, n: int) -> None:
        """Checks that the number of records is the planned one, on which the sampling rate depends.

        Raises:
            PrivacyError: it is not.
        """
        if self.n != n:
            raise PrivacyError(
                f"'{self.name}' is planned for {self.n} records, but the dataset has {n}: "
                "its sampling rate would not be the planned one"
            )
