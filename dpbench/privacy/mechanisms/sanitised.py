"""Gradients of discriminators that never leave the vault (GS-WGAN, Chen et al., arXiv 2006.08265).

A generator asks in which direction each of its images should change. Many discriminators can answer: each was trained
on its own shard of the records, without noise, inside the vault. One of them is drawn per step, and its answer is
clipped per image and noised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dpbench.core.errors import ConfigError
from dpbench.privacy.accounting.events import Event
from dpbench.privacy.accounting.shard_event import ShardEvent
from dpbench.privacy.mechanisms.mechanism import Mechanism


@dataclass(frozen=True, kw_only=True)
class SanitisedGradients(Mechanism):
    """`PrivateData.sanitised_gradients`: the gradients of one secret discriminator at generated images, with noise.

    Sensitivity. Every record is in one shard, by its position, and changes one discriminator: in any way, since it is
    trained without noise. A step releases the gradients at all `samples` images from the same discriminator. Each is
    scaled to a norm of at most `clip`, so two discriminators' answers are at most 2 · clip · √samples apart, and the
    standard deviation of the noise is noise_multiplier times this distance. Treating the images as independent draws,
    as the published accounting does, misses the factor √samples.

    Guarantee. The discriminator of a step is drawn uniformly and in secret; `ShardEvent` bounds what that reveals. For
    steps to compose, the answer of each discriminator must not depend on which ones were drawn before; otherwise later
    answers would show who answered earlier. The published method trains the drawn one. Here, discriminators are trained
    in turn, `trained` of them before each step, whichever is drawn. Then a release depends on the records, on earlier
    releases (through the generator's images), and on randomness that is independent of all draws.

    Attributes:
        shards: number of discriminators, at most the number of records.
        samples: generated images per step.
        steps: number of steps.
        trained: discriminators that are trained before each step, in turn.
    """

    shards: int
    samples: int
    steps: int
    trained: int = 1

    event: ClassVar[type[Event]] = ShardEvent

    def __post_init__(self) -> None:
        if self.shards < 2:
            raise ConfigError(f"{self.name}: needs at least two shards, not {self.shards}")
        if self.samples < 1:
            raise ConfigError(f"{self.name}: needs at least one generated image per step, not {self.samples}")
        if not 1 <= self.trained <= self.shards:
            raise ConfigError(f"{self.name}: trains 1 to {self.shards} discriminators per step, not {self.trained}")
        super().__post_init__()
        self.refuse_schedule("a sanitised gradient")

    @property
    def sampling_rate(self) -> float:
        """Probability that a given record's discriminator answers in one step."""
        return 1 / self.shards

    @property
    def releases(self) -> int:
        """See `Mechanism`."""
        return self.steps

    @property
    def gradients(self) -> float:
        """See `Mechanism`: one gradient per generated image."""
        return float(self.steps * self.samples)

    @property
    def sensitivity(self) -> float:
        """Largest distance between the answers of two discriminators to one step."""
        return 2 * self.clip * math.sqrt(self.samples)

    def noise_scale_at(self, number: int) -> float:
        """See `Mechanism`."""
        return self._calibrated() * self.sensitivity
