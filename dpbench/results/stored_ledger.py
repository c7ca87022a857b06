"""The content of ledger.json: the plan, and what was spent, mechanism by mechanism."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dpbench.core.typed_json import read_typed

Number = float | int | Literal["inf"]


@dataclass(frozen=True)
class StoredMechanism:
    """One mechanism.

    Attributes:
        name: unique within the ledger.
        kind: the class of the mechanism, e.g. "NoisySum".
        clip: bound on one record's contribution.
        noise_multiplier: scale of the noise divided by `clip`; 0 for no noise.
        sampling_rate: probability that a record is in one release.
        schedule: segments with other rates or noise: "releases", and the factors "rate" and "noise".
        releases_planned, releases_spent, releases_forfeited: their numbers.
    """

    name: str
    kind: str
    clip: float
    noise_multiplier: float
    sampling_rate: float
    schedule: tuple[dict[str, float], ...]
    releases_planned: int
    releases_spent: int
    releases_forfeited: int = 0


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

    epsilon: Number
    delta: float
    epsilon_planned: Number
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
    whole = {"releases": mechanism.releases_planned, "rate": 1.0, "noise": 1.0}
    for segment in mechanism.schedule or (whole,):
        spent = min(left, int(segment["releases"]))
        left -= spent
        if spent:
            rate, noise = mechanism.sampling_rate * segment["rate"], mechanism.noise_multiplier * segment["noise"]
            found.append({"releases": spent, "rate": rate, "noise": noise})
    return found
