"""Mechanisms that choose one of a public list of candidates by scores from the records; only its index is released.

Sensitivity. A record's score of each candidate is clamped to [0, clip] by the vault, and scores are added over records.
With one record more, no total falls and none rises by more than `clip`.

Guarantee. Independent noise Z of scale b = noise_multiplier · clip is added to every total; the index of the largest is
released. Fix the noise of all candidates but i. Then i is chosen if Z_i exceeds the difference t between the largest
other noisy total and i's own total. With one record more, both grow by something in [0, clip], so t changes by at most
`clip`. The derivative of ln P(Z > t) lies in [-1/b, 0] for exponential noise, and for Gumbel noise, where it is
-y / (b (exp(y) - 1)) with y = exp(-t/b). So the probability of i changes by a factor of at most exp(clip / b), whatever
the other noise is. Each release is therefore ε₀-DP with ε₀ = 1 / noise_multiplier: half the cost of scores that one
record could both raise and lower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dpbench.core.errors import ConfigError
from dpbench.privacy.accounting.events import Event, PureEvent
from dpbench.privacy.mechanisms.mechanism import Query


@dataclass(frozen=True, kw_only=True)
class Choice(Query):
    """The common part of both mechanisms.

    Attributes:
        candidates: number of candidates.
        clip: largest score that a record can give a candidate; the smallest is 0.
    """

    candidates: int

    event: ClassVar[type[Event]] = PureEvent

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.candidates < 2:
            raise ConfigError(f"{self.name}: a choice needs at least two candidates, not {self.candidates}")

    @property
    def planned_shape(self) -> tuple[int, ...]:
        """See `Query`."""
        return (self.candidates,)


@dataclass(frozen=True, kw_only=True)
class ExponentialChoice(Choice):
    """`PrivateData.exponential_choice`: a candidate with probability in proportion to exp(total score / scale).

    The exponential mechanism, by Gumbel noise of the scale noise_multiplier · clip on the totals.
    """

    noise = "gumbel"


@dataclass(frozen=True, kw_only=True)
class NoisyMax(Choice):
    """`PrivateData.noisy_max`: the candidate with the largest total score after exponential noise.

    At the same ε its choice is never worse, on average, than that of the exponential mechanism (McKenna and Sheldon,
    2010.12603; Ding et al., 2105.07260, who show that it is their permute-and-flip).
    """

    noise = "exponential"
