"""The content of ledger.json: the plan, and what was spent, mechanism by mechanism."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from dpbench.core.typed_json import read_typed

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Epsilon = Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["inf"]


@dataclass(frozen=True)
class StoredSegment:
    """Consecutive releases of a mechanism.

    Attributes:
        releases: their number.
        rate, noise: factors on the mechanism's sampling rate and noise multiplier.
    """

    releases: Count
    rate: Positive = 1.0
    noise: Positive = 1.0


@dataclass(frozen=True)
class StoredMechanism:
    """One mechanism.

    Attributes:
        name: unique within the ledger.
        kind: the class of the mechanism, e.g. "NoisySum".
        clip: bound on one record's contribution.
        noise_multiplier: scale of the noise divided by `clip`; 0 for no noise.
        sampling_rate: probability that a record is in one release.
        schedule: segments with other rates or noise; empty for equal releases.
        releases_planned, releases_spent, releases_forfeited: their numbers.

    Raises:
        ValueError: the schedule has a sampling rate above 1.
    """

    name: str
    kind: str
    clip: Positive
    noise_multiplier: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    sampling_rate: Annotated[float, Field(gt=0, le=1)]
    schedule: tuple[StoredSegment, ...]
    releases_planned: Count
    releases_spent: Count
    releases_forfeited: Count = 0

    def __post_init__(self) -> None:
        if any(self.sampling_rate * segment.rate > 1 for segment in self.schedule):
            raise ValueError("a sampling rate of the schedule is above 1")


@dataclass(frozen=True)
class StoredLedger:
    """A trial's ledger.

    Attributes:
        epsilon, delta: the budget.
        epsilon_planned: ε of the whole plan, by PLD.
        accounting: "verified" or "unverified".
        unverified: why records were read outside the mechanisms.
        mechanisms: the mechanisms, in the order of the plan.
    """

    epsilon: Epsilon
    delta: Annotated[float, Field(gt=0, lt=1)]
    epsilon_planned: Epsilon
    accounting: str
    unverified: tuple[str, ...]
    mechanisms: tuple[StoredMechanism, ...]

    @classmethod
    def read(cls, path: Path) -> StoredLedger:
        """The content of a ledger.json.

        Raises:
            DpbenchError: it is missing or damaged; the message names it.
        """
        return read_typed(path, cls)


def segments_of(mechanism: StoredMechanism) -> list[dict[str, Any]]:
    """The spent releases in segments of one rate and noise: "releases", and the absolute "rate" and "noise"."""
    left, found = mechanism.releases_spent, []
    for segment in mechanism.schedule or (StoredSegment(mechanism.releases_planned),):
        spent = min(left, segment.releases)
        left -= spent
        if spent:
            rate, noise = mechanism.sampling_rate * segment.rate, mechanism.noise_multiplier * segment.noise
            found.append({"releases": spent, "rate": rate, "noise": noise})
    return found
